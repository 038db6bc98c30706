/** The kernel's memory and limits, and pinning of processes to processors. */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { kibField, queuedBytes } from '../suite/proc.js';

/** CPU time of the process's first thread, ns: in every server here it has the sockets. */
export async function mainThreadNs(pid: number): Promise<number> {
  const [ran = ''] = (await readFile(`/proc/${pid}/task/${pid}/schedstat`, 'utf8')).split(' ');
  return Number(ran);
}

/** All slabs (they include sockets, files and inodes) and TCP's queues. */
export async function kernelBytes(): Promise<number> {
  return kibField(await readFile('/proc/meminfo', 'utf8'), 'Slab') + (await queuedBytes());
}

/** The limit of file descriptors for this process and its children. */
export async function fdLimit(): Promise<number> {
  return Number(/^Max open files\s+(\d+)/m.exec(await readFile('/proc/self/limits', 'utf8'))?.[1]);
}

/** The generator runs on the last processor and the measured server on the first. */
export class Pins {
  readonly possible: boolean;
  readonly #last = availableParallelism() - 1;

  constructor() {
    this.possible = this.#last > 0 && canRun('taskset');
  }

  server(pid: number): void {
    this.#pin(['-a'], '0', pid);
  }

  /** The thread with the sockets; other threads run where there is room. */
  serverMainThread(pid: number): void {
    this.#pin([], '0', pid);
  }

  generator(): void {
    this.#pin(['-a'], String(this.#last), process.pid);
  }

  free(pid = process.pid): void {
    this.#pin(['-a'], `0-${this.#last}`, pid);
  }

  #pin(flags: string[], cpus: string, pid: number): void {
    if (this.possible) execFileSync('taskset', [...flags, '-cp', cpus, String(pid)], { stdio: 'ignore' });
  }
}

function canRun(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false; // not installed: said in the settings
  }
}
