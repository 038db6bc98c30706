/** Collects the garbage of all threads of a server from outside, so that only what it holds is measured. */
import { fileURLToPath } from 'node:url';

/** NODE_OPTIONS of a measured process. */
export const COLLECTABLE = `--import=${fileURLToPath(new URL('collect-preload.js', import.meta.url))}`;

/** What one thread holds after a collection, in bytes. */
export interface ThreadHeap {
  thread: number;
  heap: number;
  external: number;
}

/** The log line on stdout at the end of a collection. */
export interface Collected {
  msg: 'collected';
  /** Number of the collection in this process, from 1. */
  count: number;
  threads: ThreadHeap[];
}

/** For a process started with COLLECTABLE, which logs a line when it is done. */
export function collectGarbage(pid: number): void {
  process.kill(pid, 'SIGUSR2');
}
