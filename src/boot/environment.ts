/**
 * Hides the environment that this process was started with. Linux shows it in /proc/PID/environ to every process of the same
 * account for as long as the process lives, also after a variable is deleted; and it holds keys. Main thread.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/** The configuration has read them: nothing asks the environment for them again. */
const CONSUMED = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'ANTHROPIC_CUSTOM_HEADERS',
  'FAIRLEAD_SECRET_KEY',
  'FAIRLEAD_SECRET_KEYS',
  'FAIRLEAD_TOKEN',
  'REDIS_URL',
];

/** Call it once the configuration is read, and before anything starts a thread or a process. Returns why it cannot be done. */
export function hideEnvironment(): string | undefined {
  for (const name of CONSUMED) delete process.env[name];
  // A variable that is set again is copied to the heap, so the rest of it stays usable when the block is overwritten.
  for (const [name, value] of Object.entries(process.env)) process.env[name] = value;
  try {
    overwriteBlock();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Writes zeros over the block that the kernel made at the start of the process. /proc/PID/environ reads that memory. */
function overwriteBlock(): void {
  const { start, end } = blockOf(readFileSync('/proc/self/stat', 'latin1'));
  const shown = readFileSync('/proc/self/environ');
  if (start === 0 || shown.length !== end - start) throw new Error('/proc/self/stat does not say where it is');
  const memory = openSync('/proc/self/mem', 'r+');
  try {
    writeSync(memory, Buffer.alloc(shown.length), 0, shown.length, start);
  } finally {
    closeSync(memory);
  }
  if (readFileSync('/proc/self/environ').some((byte) => byte !== 0)) throw new Error('it is still there');
}

/** Fields 50 and 51 (proc_pid_stat(5)), counted from the last bracket, since the name may hold spaces and brackets. */
function blockOf(stat: string): { start: number; end: number } {
  const fromThird = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { start: Number(fromThird[47]), end: Number(fromThird[48]) };
}
