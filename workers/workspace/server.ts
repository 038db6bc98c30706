/** The tools as MCP sees them: schemas, annotations, results. Runs in the sandbox. */
import { McpServer, type CallToolResult, type ServerContext, type ToolAnnotations } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS, runCommand, type CommandResult } from './command.js';
import { ToolFault } from './fault.js';
import { DEFAULT_LISTED, listFiles } from './list.js';
import type { Workspace } from './paths.js';
import { ProgressStream } from './progress.js';
import { DEFAULT_READ_LINES, readFileLines } from './read.js';
import { DEFAULT_RESULTS, searchFiles } from './search.js';
import { FileWriter } from './write.js';

export const SERVER_NAME = 'fairlead-workspace';
export const SERVER_VERSION = '0.1.0';

/** In a progress notification's `_meta`: which stream its `message` is a piece of. */
export const STREAM_META = 'fairlead/stream';
/** In a failed result's `_meta`: the FaultCode. */
export const FAULT_META = 'fairlead/error';
/** In a run_command result's `_meta`: see CommandMeta. */
export const COMMAND_META = 'fairlead/command';

export interface CommandMeta {
  exitCode: number | null;
  exitSignal: string | null;
  endedBy: CommandResult['endedBy'];
  ms: number;
  stdoutBytes: number;
  stderrBytes: number;
  omittedBytes: number;
}

const READS: ToolAnnotations = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
};
const WRITES: ToolAnnotations = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: true,
  openWorldHint: false,
};
const EDITS: ToolAnnotations = { ...WRITES, idempotentHint: false };
const RUNS: ToolAnnotations = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: false,
  openWorldHint: true,
};

const aFile = z.string().min(1).describe('The file, absolute below /workspace or relative to it');
const aFolder = z.string().min(1).default('.').describe('The folder, absolute below /workspace or relative to it');

export function createWorkspaceServer(workspace: Workspace): McpServer {
  const server = new McpServer(
    { name: SERVER_NAME, version: SERVER_VERSION },
    { capabilities: { tools: { listChanged: false } } },
  );
  const writer = new FileWriter(workspace);

  server.registerTool(
    'read_file',
    {
      title: 'Read a file',
      description: `Read lines of a UTF-8 text file. Says so when not all of it is shown, and where to continue.`,
      inputSchema: z.strictObject({
        path: aFile,
        offset: z.int().min(1).optional().describe('First line to read, from 1'),
        limit: z.int().min(1).optional().describe(`How many lines at most (default ${DEFAULT_READ_LINES})`),
      }),
      annotations: READS,
    },
    async (args, ctx) => answer(async () => texts(await readFileLines(workspace, args, ctx.mcpReq.signal))),
  );

  server.registerTool(
    'write_file',
    {
      title: 'Write a file',
      description: 'Create a file, or replace all of its content. Folders on the way are created.',
      inputSchema: z.strictObject({ path: aFile, content: z.string().describe('The whole new content') }),
      annotations: WRITES,
    },
    async ({ path, content }) => answer(async () => texts({ text: await writer.write(path, content) })),
  );

  server.registerTool(
    'edit_file',
    {
      title: 'Edit a file',
      description:
        'Replace a piece of text in a file. old_text must occur exactly once, character by character, unless replace_all is set.',
      inputSchema: z.strictObject({
        path: aFile,
        old_text: z.string().min(1).describe('The text to replace, exactly as it is in the file'),
        new_text: z.string().describe('What to put in its place'),
        replace_all: z.boolean().default(false).describe('Replace every occurrence'),
      }),
      annotations: EDITS,
    },
    async ({ path, old_text: oldText, new_text: newText, replace_all: replaceAll }) =>
      answer(async () => texts({ text: await writer.edit({ path, oldText, newText, replaceAll }) })),
  );

  server.registerTool(
    'list_files',
    {
      title: 'List files',
      description: 'List a folder: names, sizes and the targets of links; folders end in a slash.',
      inputSchema: z.strictObject({
        path: aFolder,
        recursive: z.boolean().default(false).describe('Also everything below'),
        limit: z.int().min(1).max(5000).default(DEFAULT_LISTED).describe('How many entries at most'),
      }),
      annotations: READS,
    },
    async (args, ctx) => answer(async () => texts(await listFiles(workspace, args, ctx.mcpReq.signal))),
  );

  server.registerTool(
    'search_files',
    {
      title: 'Search files',
      description: 'Find files by name (glob), lines by content (pattern), or lines in the files that a glob names.',
      inputSchema: z.strictObject({
        path: aFolder.describe('A folder or one file, absolute below /workspace or relative to it'),
        glob: z
          .string()
          .min(1)
          .max(1000)
          .optional()
          .describe('E.g. *.ts or src/**/*.json; without a slash at any depth'),
        pattern: z.string().min(1).max(1000).optional().describe('A JavaScript regular expression, line by line'),
        ignore_case: z.boolean().default(false).describe('For the pattern'),
        limit: z.int().min(1).max(1000).default(DEFAULT_RESULTS).describe('How many results at most'),
      }),
      annotations: READS,
    },
    async ({ ignore_case: ignoreCase, ...rest }, ctx) =>
      answer(async () => texts(await searchFiles(workspace, { ...rest, ignoreCase }, ctx.mcpReq.signal))),
  );

  server.registerTool(
    'run_command',
    {
      title: 'Run a command',
      description:
        'Run a shell command (bash where there is one, else sh) without standard input. Its output is streamed; of a long ' +
        'output the result has the beginning and the end. It is killed, with what it started, at its timeout. ' +
        'A background process lives on if its output is redirected.',
      inputSchema: z.strictObject({
        command: z.string().min(1),
        cwd: aFolder.describe('Where to run it: absolute below /workspace or relative to it'),
        timeout_ms: z.int().min(1).max(MAX_TIMEOUT_MS).default(DEFAULT_TIMEOUT_MS),
      }),
      annotations: RUNS,
    },
    async ({ command, cwd, timeout_ms: timeoutMs }, ctx) =>
      answer(async () => {
        const place = await workspace.locateFolder(cwd);
        const progress = progressOf(ctx);
        try {
          return commandResult(
            await runCommand({
              command,
              cwd: place.real,
              home: workspace.root,
              timeoutMs,
              signal: ctx.mcpReq.signal,
              onOutput: (stream, chunk) => progress?.push(stream, chunk),
            }),
            timeoutMs,
          );
        } finally {
          // Before the result: the client forgets a call's progress handler with its answer.
          await progress?.end();
        }
      }),
  );

  return server;
}

function progressOf(ctx: ServerContext): ProgressStream | undefined {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return undefined;
  return new ProgressStream(async ({ stream, text, total }) =>
    ctx.mcpReq.notify({
      method: 'notifications/progress',
      params: { progressToken, progress: total, message: text, _meta: { [STREAM_META]: stream } },
    }),
  );
}

/** A fault is a result that the model can read, never an error of the protocol. */
async function answer(work: () => Promise<CallToolResult>): Promise<CallToolResult> {
  try {
    return await work();
  } catch (error) {
    const code = error instanceof ToolFault ? error.code : 'IO';
    const text = error instanceof Error ? error.message : String(error);
    return { isError: true, content: [{ type: 'text', text }], _meta: { [FAULT_META]: code } };
  }
}

/** No empty blocks: models' APIs refuse them. */
function texts({ text, note }: { text: string; note?: string }): CallToolResult {
  const blocks = [text, note].filter((block) => block !== undefined && block !== '');
  return { content: blocks.map((block) => ({ type: 'text', text: block ?? '' })) };
}

function commandResult(result: CommandResult, timeoutMs: number): CallToolResult {
  const stdout = result.stdout.toText();
  const stderr = result.stderr.toText();
  const meta: CommandMeta = {
    exitCode: result.exitCode,
    exitSignal: result.exitSignal,
    endedBy: result.endedBy,
    ms: result.ms,
    stdoutBytes: result.stdout.bytes,
    stderrBytes: result.stderr.bytes,
    omittedBytes: stdout.omittedBytes + stderr.omittedBytes,
  };
  const blocks = [stdout.text, stderr.text === '' ? '' : `[stderr]\n${stderr.text}`, describeEnd(result, timeoutMs)];
  return {
    // Exit code 1 is an answer, as grep's is; what was ended from outside has not done what was asked.
    isError: result.endedBy !== 'itself' || result.exitCode === null,
    content: blocks.filter((block) => block !== '').map((block) => ({ type: 'text', text: block })),
    _meta: { [COMMAND_META]: meta },
  };
}

function describeEnd(result: CommandResult, timeoutMs: number): string {
  if (result.endedBy === 'timeout') {
    return `[killed after its timeout of ${timeoutMs} ms; raise timeout_ms, or run it in the background with its output in a file]`;
  }
  if (result.endedBy === 'cancel') return '[killed: the call was cancelled]';
  if (result.exitSignal !== null) return `[ended by ${result.exitSignal} after ${result.ms} ms]`;
  return `[exit code ${result.exitCode} after ${result.ms} ms]`;
}
