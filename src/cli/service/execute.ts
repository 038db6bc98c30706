/** Runs steps, and takes back what has run when one fails. Command line's process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { FairleadError } from '../../shared/errors.js';
import type { Command, Step } from './step.js';

const STEP_MS = 5 * 60_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Of a step's output, for the error. */
const MAX_OUTPUT = 4_000;

export interface Outcome {
  ok: boolean;
  /** The end of what it said. */
  output: string;
}

export interface Execution {
  say: (line: string) => void;
  /** How a command runs; a test replaces nothing of it. */
  env?: NodeJS.ProcessEnv;
}

/** ERR_START when a step fails: its words, and whether everything is as it was. Optional ones are told and passed by. */
export async function execute(steps: readonly Step[], { say, env = process.env }: Execution): Promise<void> {
  let interrupted: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals): void => void (interrupted ??= signal);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const done: Step[] = [];
  let title = '';
  try {
    for (const step of steps) {
      if (step.title !== title) say(step.title);
      title = step.title;
      done.push(step);
      const { ok, output } = await runCommand(step, env, step.timeoutMs);
      if (interrupted !== undefined) throw new FairleadError('ERR_START', `interrupted (${interrupted})`);
      if (ok) continue;
      const why = `could not ${step.title}: ${output || `${step.argv.join(' ')} failed`}`;
      if (step.optional === undefined) throw new FairleadError('ERR_START', why);
      say(`warning: ${why}\n  ${step.optional}`);
    }
  } catch (error) {
    const failed = await takeBack(done, say, env);
    const { message } = error as Error;
    const after = failed === '' ? 'Everything is as it was before.' : `Not taken back:\n${failed}`;
    throw new FairleadError('ERR_START', `${message}\n${after}`, { cause: error });
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

/** The commands that failed with their words; '' when all went well. */
async function takeBack(done: readonly Step[], say: (line: string) => void, env: NodeJS.ProcessEnv): Promise<string> {
  const commands = done.toReversed().flatMap(({ undo = [] }) => undo);
  if (commands.length > 0) say('taking back what was done');
  let failed = '';
  for (const command of commands) {
    const { ok, output } = await runCommand(command, env);
    if (!ok) failed += `  ${command.argv.join(' ')}: ${output}\n`;
  }
  return failed.trimEnd();
}

async function runCommand({ argv, input }: Command, env: NodeJS.ProcessEnv, timeoutMs = STEP_MS): Promise<Outcome> {
  // Node's own pipe is a socket, which nobody can open as /dev/stdin.
  const piped = input === undefined ? argv : ['sh', '-c', 'cat | "$0" "$@"', ...argv];
  const [program = '', ...args] = piped;
  // A group of its own: Ctrl-C reaches this process, which lets the step end and takes it back.
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const { pid } = child;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  }, timeoutMs);
  let output = '';
  const keep = (chunk: Buffer): void => void (output = `${output}${chunk.toString()}`.slice(-MAX_OUTPUT));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.stdin.on('error', () => undefined); // it ended before it read all: its exit code says so
  child.stdin.end(input ?? '');
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    const words = late ? `not done within ${timeoutMs / 1_000} s. ${output}` : output;
    return { ok: code === 0, output: words.trim() };
  } catch (error) {
    return { ok: false, output: (error as Error).message }; // no such program
  } finally {
    clearTimeout(timer);
  }
}
