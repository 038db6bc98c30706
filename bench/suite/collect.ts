/** To see what a server holds and not what it has yet to let go of: its garbage is collected from outside, in all its threads. */
import { fileURLToPath } from 'node:url';

/** NODE_OPTIONS of a process that is to be measured. */
export const COLLECTABLE = `--import=${fileURLToPath(new URL('collect-preload.js', import.meta.url))}`;

/** What one thread holds after a collection, in bytes. */
export interface ThreadHeap {
  thread: number;
  heap: number;
  external: number;
}

/** The line on stdout, as pino writes them, once a collection is over. */
export interface Collected {
  msg: 'collected';
  /** Of this process, from 1. */
  count: number;
  threads: ThreadHeap[];
}

/** Asks a process that was started with COLLECTABLE; it says when it has done so. */
export function collectGarbage(pid: number): void {
  process.kill(pid, 'SIGUSR2');
}
