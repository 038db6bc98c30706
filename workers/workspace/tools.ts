/** The six tools for MCP: schemas, annotations, results. Runs in the sandbox. */
import type { CallToolResult, ToolAnnotations } from '@modelcontextprotocol/server';
import { checkArguments, inputSchema, type ArgumentsOf, type InputSchema, type Properties } from './arguments.js';
import { DEFAULT_COMMAND_TIMEOUT_MS, MAX_COMMAND_TIMEOUT_MS, runCommand, type CommandResult } from './command.js';
import { ToolFault, type TextResult } from './fault.js';
import { DEFAULT_LISTED, listFiles } from './list.js';
import type { Workspace } from './paths.js';
import { ProgressStream, type ProgressPiece } from './progress.js';
import { DEFAULT_READ_LINES, readFileLines } from './read.js';
import { DEFAULT_RESULTS, searchFiles } from './search.js';
import { FileWriter } from './write.js';

/** In a failed result's `_meta`: the FaultCode. */
export const FAULT_META = 'fairlead/error';
/** In a run_command result's `_meta`: a CommandMeta. */
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

export interface CallContext {
  readonly signal: AbortSignal;
  /** Set if the client asked for progress. Resolves when the output takes more. */
  readonly report?: ((piece: ProgressPiece) => Promise<void>) | undefined;
}

export interface Tool {
  /** Its entry in `tools/list`. */
  readonly listed: {
    readonly name: string;
    readonly title: string;
    readonly description: string;
    readonly inputSchema: InputSchema;
    readonly annotations: ToolAnnotations;
  };
  /** Never rejects: invalid arguments and faults are results that the model can read. */
  call(given: Readonly<Record<string, unknown>>, call: CallContext): Promise<CallToolResult>;
}

interface Definition<P extends Properties, R extends keyof P> {
  name: string;
  title: string;
  description: string;
  properties: P;
  required: readonly R[];
  annotations: ToolAnnotations;
  run: (args: ArgumentsOf<P, R>, call: CallContext) => Promise<CallToolResult>;
}

const READS = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false };
const WRITES = { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false };
const EDITS = { ...WRITES, idempotentHint: false };
const RUNS = { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true };

const aFile = {
  type: 'string',
  minLength: 1,
  description: 'The file, absolute below /workspace or relative to it',
} as const;
const FOLDER = 'absolute below /workspace or relative to it';
const aFolder = { type: 'string', minLength: 1, default: '.', description: `The folder, ${FOLDER}` } as const;
const aCount = { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER } as const;
const aPattern = { type: 'string', minLength: 1, maxLength: 1000 } as const;
const off = { type: 'boolean', default: false } as const;

export function workspaceTools(workspace: Workspace): Tool[] {
  const writer = new FileWriter(workspace);
  return [
    define({
      name: 'read_file',
      title: 'Read a file',
      description:
        'Read lines of a UTF-8 text file. A note at the end says if lines are missing, and where to continue.',
      properties: {
        path: aFile,
        offset: { ...aCount, description: 'First line to read, from 1' },
        limit: { ...aCount, description: `How many lines at most (default ${DEFAULT_READ_LINES})` },
      },
      required: ['path'],
      annotations: READS,
      run: async (args, { signal }) => texts(await readFileLines(workspace, args, signal)),
    }),
    define({
      name: 'write_file',
      title: 'Write a file',
      description: 'Create a file, or replace its whole content. Missing folders are created.',
      properties: { path: aFile, content: { type: 'string', description: 'The whole new content' } },
      required: ['path', 'content'],
      annotations: WRITES,
      run: async ({ path, content }) => texts({ text: await writer.write(path, content) }),
    }),
    define({
      name: 'edit_file',
      title: 'Edit a file',
      description:
        'Replace text in a file. old_text must match exactly, and occur exactly once unless replace_all is set.',
      properties: {
        path: aFile,
        old_text: { type: 'string', minLength: 1, description: 'The text to replace, exactly as it is in the file' },
        new_text: { type: 'string', description: 'What to put in its place' },
        replace_all: { ...off, description: 'Replace every occurrence' },
      },
      required: ['path', 'old_text', 'new_text'],
      annotations: EDITS,
      run: async ({ path, old_text: oldText, new_text: newText, replace_all: replaceAll }) =>
        texts({ text: await writer.edit({ path, oldText, newText, replaceAll }) }),
    }),
    define({
      name: 'list_files',
      title: 'List files',
      description: 'List a folder: names, sizes and the targets of links. Folders end in a slash.',
      properties: {
        path: aFolder,
        recursive: { ...off, description: 'List all folders below, too' },
        limit: { ...aCount, maximum: 5000, default: DEFAULT_LISTED, description: 'How many entries at most' },
      },
      required: [],
      annotations: READS,
      run: async (args, { signal }) => texts(await listFiles(workspace, args, signal)),
    }),
    define({
      name: 'search_files',
      title: 'Search files',
      description:
        'Find files by name (glob), lines by content (pattern), or lines in files with a matching name (both).',
      properties: {
        path: { ...aFolder, description: `A folder or one file, ${FOLDER}` },
        glob: { ...aPattern, description: 'E.g. *.ts or src/**/*.json. A glob without a slash matches at any depth' },
        pattern: { ...aPattern, description: 'A JavaScript regular expression, matched line by line' },
        ignore_case: { ...off, description: 'For the pattern' },
        limit: { ...aCount, maximum: 1000, default: DEFAULT_RESULTS, description: 'How many results at most' },
      },
      required: [],
      annotations: READS,
      run: async ({ ignore_case: ignoreCase, ...rest }, { signal }) =>
        texts(await searchFiles(workspace, { ...rest, ignoreCase }, signal)),
    }),
    define({
      name: 'run_command',
      title: 'Run a command',
      description:
        'Run a shell command (bash if installed, else sh) without standard input. The result has the beginning and the end ' +
        'of a long output. At its timeout the command is killed with all that it started. ' +
        'A background process keeps running if its output is redirected.',
      properties: {
        command: { type: 'string', minLength: 1 },
        cwd: { ...aFolder, description: `Where to run it: ${FOLDER}` },
        timeout_ms: { ...aCount, maximum: MAX_COMMAND_TIMEOUT_MS, default: DEFAULT_COMMAND_TIMEOUT_MS },
      },
      required: ['command'],
      annotations: RUNS,
      run: async ({ command, cwd, timeout_ms: timeoutMs }, { signal, report }) => {
        const place = await workspace.locateFolder(cwd);
        const progress = report && new ProgressStream(report);
        const onOutput: ProgressStream['push'] = (stream, chunk) => progress?.push(stream, chunk);
        try {
          const request = { command, cwd: place.real, home: workspace.root, timeoutMs, signal, onOutput };
          return commandResult(await runCommand(request), timeoutMs);
        } finally {
          // Before the result: a client drops its progress handler when the result arrives.
          await progress?.end();
        }
      },
    }),
  ];
}

function define<const P extends Properties, const R extends keyof P & string = never>(
  definition: Definition<P, R>,
): Tool {
  const { name, title, description, annotations, properties, required, run } = definition;
  const schema = inputSchema(properties, required);
  return {
    listed: { name, title, description, inputSchema: schema, annotations },
    call: async (given, call) => {
      const checked = checkArguments(schema, given);
      if (!checked.ok) return failure(`Invalid arguments for tool ${name}: ${checked.problem}`);
      try {
        return await run(checked.args as ArgumentsOf<P, R>, call);
      } catch (error) {
        const code = error instanceof ToolFault ? error.code : 'IO';
        return { ...failure(error instanceof Error ? error.message : String(error)), _meta: { [FAULT_META]: code } };
      }
    },
  };
}

function failure(text: string): CallToolResult {
  return { isError: true, content: [{ type: 'text', text }] };
}

/** Leaves out empty blocks, which model APIs refuse. */
function texts({ text, note }: TextResult): CallToolResult {
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
    // A non-zero exit code is an answer, as grep's 1; a command that was killed has not done its work.
    isError: result.endedBy !== 'itself' || result.exitCode === null,
    content: blocks.filter((block) => block !== '').map((block) => ({ type: 'text', text: block })),
    _meta: { [COMMAND_META]: meta },
  };
}

function describeEnd(result: CommandResult, timeoutMs: number): string {
  if (result.endedBy === 'timeout') {
    return `[killed at its timeout of ${timeoutMs} ms; raise timeout_ms, or run it in the background with its output in a file]`;
  }
  if (result.endedBy === 'cancel') return '[killed: the call was cancelled]';
  if (result.exitSignal !== null) return `[ended by ${result.exitSignal} after ${result.ms} ms]`;
  return `[exit code ${result.exitCode} after ${result.ms} ms]`;
}
