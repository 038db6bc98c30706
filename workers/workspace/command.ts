/** run_command: runs a shell in its own process group, killed at its timeout or on cancel. Runs in the sandbox. */
import { spawn, type ChildProcess } from 'node:child_process';
import { errnoOf, ToolFault } from './fault.js';
import { killFirst, programsOutOfMemory } from './out-of-memory.js';
import { withOutputPipes, type OutputPipes } from './pipes.js';
import { addCommandGroup, killCommandGroup, markedEnvironment, removeCommandGroup } from './process-groups.js';
import type { StreamName } from './progress.js';
import type { Shell, ShellRun } from './shell.js';
import { ShownOutput } from './shown-output.js';

const MAX_AT_ONCE = 32;
/** How long to wait for output after the shell's exit: a background process may hold its pipes open. */
const CLOSE_GRACE_MS = 500;
/** A killed process ends at once unless the kernel holds it. Then the call returns without waiting longer. */
const KILL_GRACE_MS = 2000;

export interface CommandRequest {
  command: string;
  shell: Shell;
  /** Absolute, below the root. Absent: where the last command ended. */
  cwd?: string | undefined;
  /** HOME of the first command, and its folder. */
  home: string;
  timeoutMs: number;
  signal: AbortSignal;
  /** Of each stream the most that is kept of its beginning, and of its end. */
  keptEndBytes: number;
  onOutput: (stream: StreamName, chunk: Buffer) => void;
}

export interface CommandResult {
  /** null when a signal ended the shell, or when it could not be killed. */
  exitCode: number | null;
  exitSignal: string | null;
  endedBy: 'itself' | 'timeout' | 'cancel';
  /** While it ran, the kernel has killed a program because the sandbox was out of memory. */
  outOfMemory: boolean;
  ms: number;
  stdout: ShownOutput;
  stderr: ShownOutput;
  /** What the model has to know of its shell. */
  notes: string[];
}

let active = 0;

/** Throws BUSY or SPAWN. A command that fails or is killed is a result. */
export async function runCommand(request: CommandRequest): Promise<CommandResult> {
  if (active >= MAX_AT_ONCE) {
    throw new ToolFault('BUSY', `${MAX_AT_ONCE} commands are running already. Try again when one has ended.`);
  }
  active++;
  const run = request.shell.begin(request.cwd);
  try {
    const result = await runNow(request, run);
    return { ...result, notes: await run.end() };
  } catch (error) {
    await run.end();
    throw error;
  } finally {
    active--;
  }
}

async function runNow(request: CommandRequest, run: ShellRun): Promise<Omit<CommandResult, 'notes'>> {
  const started = performance.now();
  const killedBefore = programsOutOfMemory() ?? 0;
  const { child, pipes } = await start(request, run).finally(() => run.started());
  if (child.pid !== undefined) killFirst(child.pid);
  const stdout = new ShownOutput(request.keptEndBytes);
  const stderr = new ShownOutput(request.keptEndBytes);
  listen(pipes, 'stdout', stdout, request);
  listen(pipes, 'stderr', stderr, request);
  const end = await waitForEnd(child, pipes, request);
  stdout.end();
  stderr.end();
  const outOfMemory = (programsOutOfMemory() ?? 0) > killedBefore;
  return { ...end, outOfMemory, ms: Math.round(performance.now() - started), stdout, stderr };
}

async function start(
  { command, home }: CommandRequest,
  { shell, script, folder, stateFd }: ShellRun,
): Promise<{ child: ChildProcess; pipes: OutputPipes }> {
  const cwd = folder ?? home;
  // A state has the whole environment, also what was unset.
  const environment = stateFd === undefined ? { ...process.env, HOME: home } : {};
  try {
    return await withOutputPipes((stdout, stderr) =>
      spawn(shell, ['-c', script, shell, command], {
        cwd,
        detached: true,
        stdio: ['ignore', stdout, stderr, ...(stateFd === undefined ? [] : [stateFd])],
        env: { ...markedEnvironment(environment), PWD: cwd },
      }),
    );
  } catch (error) {
    throw spawnFault(error);
  }
}

/** Always reads: a command is neither killed nor blocked for printing much. */
function listen(pipes: OutputPipes, name: StreamName, kept: ShownOutput, request: CommandRequest): void {
  pipes[name].on('data', (chunk: Buffer) => {
    kept.push(chunk);
    request.onOutput(name, chunk);
  });
}

type End = Pick<CommandResult, 'exitCode' | 'exitSignal' | 'endedBy'>;

async function waitForEnd(child: ChildProcess, pipes: OutputPipes, request: CommandRequest): Promise<End> {
  let endedBy: CommandResult['endedBy'] = 'itself';
  let timer: NodeJS.Timeout | undefined;
  let grace: NodeJS.Timeout | undefined;
  const settled = new AbortController();
  if (child.pid !== undefined) addCommandGroup(child.pid);
  try {
    await new Promise<void>((resolve, reject) => {
      const waitAtMost = (ms: number): void => {
        clearTimeout(grace);
        grace = setTimeout(resolve, ms);
      };
      const kill = (by: 'timeout' | 'cancel'): void => {
        // After the shell's exit its pid may be reused, and its background processes may run on.
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
        endedBy = by;
        killCommandGroup(child.pid);
        waitAtMost(KILL_GRACE_MS);
      };
      const open = new Set<unknown>([child, pipes.stdout, pipes.stderr]);
      const closed = (part: unknown): void => {
        open.delete(part);
        if (open.size === 0) resolve();
      };
      child.once('error', (error) => reject(spawnFault(error)));
      child.once('exit', () => {
        waitAtMost(CLOSE_GRACE_MS);
        closed(child);
      });
      for (const pipe of [pipes.stdout, pipes.stderr]) {
        pipe.once('close', () => closed(pipe));
        pipe.on('error', () => pipe.destroy());
      }
      timer = setTimeout(() => kill('timeout'), request.timeoutMs);
      request.signal.addEventListener('abort', () => kill('cancel'), { signal: settled.signal });
      if (request.signal.aborted) kill('cancel');
    });
    return { exitCode: child.exitCode, exitSignal: child.signalCode, endedBy };
  } finally {
    clearTimeout(timer);
    clearTimeout(grace);
    settled.abort();
    if (child.pid !== undefined) removeCommandGroup(child.pid);
    pipes.stdout.destroy();
    pipes.stderr.destroy();
  }
}

function spawnFault(error: unknown): ToolFault {
  switch (errnoOf(error)) {
    case 'E2BIG':
      return new ToolFault('SPAWN', 'The command is too long: write it to a file with write_file and run that.');
    case 'EAGAIN':
    case 'ENOMEM':
      return new ToolFault(
        'SPAWN',
        'The sandbox has no room for another process. End some that run in the background.',
      );
    case 'ERR_INVALID_ARG_VALUE':
      return new ToolFault('SPAWN', 'A command cannot contain a NUL character.');
    default:
      return new ToolFault(
        'SPAWN',
        `The shell did not start: ${error instanceof Error ? error.message : String(error)}`,
      );
  }
}
