/** Tracks and kills the process groups of commands. Runs in the sandbox. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { errnoOf } from './fault.js';
import { MARK_NAME } from './shell-script.js';

const mark = randomUUID();
const running = new Set<number>();
let anyStarted = false;

/** By it the background processes of commands are found. */
export function markedEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  anyStarted = true;
  return { ...environment, [MARK_NAME]: mark };
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
 * Called at the server's exit. A container ends all processes anyway; as a child process on the user's machine the server
 * must kill background processes itself. They are found by the mark, since a remembered pid may be reused by now.
 */
export function killEverything(): void {
  for (const leader of running) killCommandGroup(leader);
  running.clear();
  if (!anyStarted || process.platform !== 'linux') return;
  // A process may fork between the listing and the kill: three rounds, not endless ones.
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
    // Gone, or another user's and so not ours.
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
