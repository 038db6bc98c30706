/** The processes that commands have started, and their end. Runs in the sandbox. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { errnoOf } from './fault.js';

/** In the environment of every command, so that what it leaves in the background can be found by it. */
const MARK_NAME = 'FAIRLEAD_COMMANDS_OF';
const mark = randomUUID();
const running = new Set<number>();
let anyStarted = false;

export function markedEnvironment(): NodeJS.ProcessEnv {
  anyStarted = true;
  return { ...process.env, [MARK_NAME]: mark };
}

export function addCommandGroup(leader: number): void {
  running.add(leader);
}

export function removeCommandGroup(leader: number): void {
  running.delete(leader);
}

export function killCommandGroup(leader: number): void {
  kill(-leader);
}

/**
 * The server ends. In a container everything ends with it; as a child process on someone's machine it must leave nothing,
 * also no background process whose shell has long ended. Those are known by the mark: a remembered number may by now be
 * someone else's.
 */
export function killEverything(): void {
  for (const leader of running) killCommandGroup(leader);
  running.clear();
  if (!anyStarted || process.platform !== 'linux') return;
  // A process may fork between the look and the kill: look again, but not for ever.
  for (let round = 0; round < 3; round++) {
    const left = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isMarked(name));
    if (left.length === 0) return;
    for (const pid of left) kill(Number(pid));
  }
}

function isMarked(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${MARK_NAME}=${mark}`);
  } catch (error) {
    // Gone already, or another user's: then it is not ours.
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

function kill(target: number): void {
  try {
    process.kill(target, 'SIGKILL');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH' && errnoOf(error) !== 'EPERM') throw error;
  }
}
