/** The six tools for MCP: what they do and how they answer. Runs in the sandbox. */
import type { CallToolResult } from '@modelcontextprotocol/server';
import { CHANGES_META } from '../../src/shared/mcp-meta.js';
import { checkArguments, type ArgumentsOf, type Properties } from './arguments.js';
import { ChangeWatch } from './changes.js';
import { runCommand, type CommandResult } from './command.js';
import { ToolFault, type TextResult } from './fault.js';
import { listFiles } from './list.js';
import { looseText, textOf } from './names.js';
import type { Workspace, WorkspacePath } from './paths.js';
import { ProgressStream, type ProgressPiece } from './progress.js';
import { readFileLines } from './read.js';
import { searchFiles } from './search.js';
import type { Shell } from './shell.js';
import {
  COMMAND_META,
  EDIT_FILE,
  FAULT_META,
  LIST_FILES,
  READ_FILE,
  RUN_COMMAND,
  SEARCH_FILES,
  WRITE_FILE,
  type CommandMeta,
  type Declaration,
  type ListedTool,
} from './tool-list.js';
import { FileWriter } from './write.js';

const NOTE_BYTES = 1_024;
const LEAST_BYTES = 256;

export interface CallContext {
  readonly signal: AbortSignal;
  /** Of text in the result; see MAX_RESULT_META. */
  readonly maxBytes: number;
  /** See RESTORED_META. */
  readonly isRestored?: boolean;
  /** Set if the client asked for progress. Resolves when the output takes more. */
  readonly report?: ((piece: ProgressPiece) => Promise<void>) | undefined;
}

export interface Tool {
  readonly listed: ListedTool;
  /** Never rejects: invalid arguments and faults are results that the model can read. */
  call(given: Readonly<Record<string, unknown>>, call: CallContext): Promise<CallToolResult>;
}

export function workspaceTools(workspace: Workspace, shell: Shell): Tool[] {
  const writer = new FileWriter(workspace);
  const implement: Implement = (declared, run) =>
    toolOf(declared, async (args, call) => {
      await workspace.keepOpen();
      return await run(args, call);
    });
  return [
    implement(READ_FILE, async (args, call) => texts(await readFileLines(workspace, args, bounded(call)))),
    implement(WRITE_FILE, async ({ path, content }) =>
      watched(workspace, async () => texts({ text: await writer.write(path, content) })),
    ),
    implement(EDIT_FILE, async ({ path, old_text: oldText, new_text: newText, replace_all: replaceAll }) =>
      watched(workspace, async () => texts({ text: await writer.edit({ path, oldText, newText, replaceAll }) })),
    ),
    implement(LIST_FILES, async (args, call) => texts(await listFiles(workspace, args, bounded(call)))),
    implement(SEARCH_FILES, async ({ ignore_case: ignoreCase, ...rest }, call) =>
      texts(await searchFiles(workspace, { ...rest, ignoreCase }, bounded(call))),
    ),
    implement(
      RUN_COMMAND,
      async ({ command, cwd, timeout_ms: timeoutMs }, { signal, report, maxBytes, isRestored }) => {
        const place = cwd === undefined ? undefined : await workspace.locateFolder(cwd);
        if (isRestored === true) shell.isNewBecause('the sandbox was saved and restored meanwhile');
        const progress = report && new ProgressStream(report);
        const onOutput: ProgressStream['push'] = (stream, chunk) => progress?.push(stream, chunk);
        try {
          const request = {
            command,
            shell,
            cwd: place && startFolder(place),
            home: looseText(workspace.root),
            timeoutMs,
            signal,
            onOutput,
            // Two ends of two streams.
            keptEndBytes: Math.floor((maxBytes - NOTE_BYTES) / 4),
          };
          return await watched(workspace, async () => commandResult(await runCommand(request), timeoutMs));
        } finally {
          // Before the result: a client drops its progress handler when the result arrives.
          await progress?.end();
        }
      },
    ),
  ];
}

/** Tells what was changed meanwhile. */
async function watched(workspace: Workspace, run: () => Promise<CallToolResult>): Promise<CallToolResult> {
  const watch = await ChangeWatch.start(workspace);
  const result = await run();
  const changes = await watch.end();
  return changes ? { ...result, _meta: { ...result._meta, [CHANGES_META]: changes } } : result;
}

/** Leaves room for the note that says what is missing. */
function bounded({ signal, maxBytes }: CallContext): Pick<CallContext, 'signal' | 'maxBytes'> {
  return { signal, maxBytes: Math.max(LEAST_BYTES, maxBytes - NOTE_BYTES) };
}

function startFolder({ real, shown }: WorkspacePath): string {
  const text = textOf(real);
  if (text !== undefined) return text;
  throw new ToolFault(
    'BAD_PATH',
    `${shown} has bytes in its name that are no UTF-8, and no command can be started there: start it above, with cd $'…' in the command.`,
  );
}

type Implement = <P extends Properties, R extends keyof P & string>(
  declared: Declaration<P, R>,
  run: (args: ArgumentsOf<P, R>, call: CallContext) => Promise<CallToolResult>,
) => Tool;

const toolOf: Implement = ({ listed }, run) => {
  return {
    listed,
    call: async (given, call) => {
      const checked = checkArguments(listed.inputSchema, given);
      if (!checked.ok) return failure(`Invalid arguments for tool ${listed.name}: ${checked.problem}`);
      try {
        return await run(checked.args as Parameters<typeof run>[0], call);
      } catch (error) {
        const code = error instanceof ToolFault ? error.code : 'IO';
        return { ...failure(error instanceof Error ? error.message : String(error)), _meta: { [FAULT_META]: code } };
      }
    },
  };
};

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
  if (result.outOfMemory) blocks.push(OUT_OF_MEMORY);
  blocks.push(...result.notes);
  return {
    // A non-zero exit code is an answer, as grep's 1; a command that was killed has not done its work.
    isError: result.endedBy !== 'itself' || result.exitCode === null,
    content: blocks.filter((block) => block !== '').map((block) => ({ type: 'text', text: block })),
    _meta: { [COMMAND_META]: meta },
  };
}

const OUT_OF_MEMORY =
  '[out of memory: the sandbox has killed a program. Files in /workspace, /tmp and /dev/shm count as memory: delete some, or use less]';

function describeEnd(result: CommandResult, timeoutMs: number): string {
  if (result.endedBy === 'timeout') {
    return `[killed at its timeout of ${timeoutMs} ms; raise timeout_ms, or run it in the background with its output in a file]`;
  }
  if (result.endedBy === 'cancel') return '[killed: the call was cancelled]';
  if (result.exitSignal !== null) return `[ended by ${result.exitSignal} after ${result.ms} ms]`;
  return `[exit code ${result.exitCode} after ${result.ms} ms]`;
}
