/** Processor time of processes, threads and the machine, from /proc. */
import { readFile } from 'node:fs/promises';

/** USER_HZ is 100 on every Linux that Node runs on, whatever the kernel's own clock is. */
export const TICK_MS = 10;

/** proc(5): utime and stime, counted from the end of the name in brackets, which may hold anything. `folder`: /proc/PID, or a task below it. */
export async function cpuMs(folder: string): Promise<number> {
  const stat = await readFile(`${folder}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** All its threads, ended ones included. */
export function processMs(pid: number): Promise<number> {
  return cpuMs(`/proc/${pid}`);
}

/** Time ready to run while no processor was free; NaN where the kernel does not count it. `folder` as in cpuMs: that thread's alone. */
export async function waitedMs(folder: string): Promise<number> {
  const schedstat = await unlessGone(readFile(`${folder}/schedstat`, 'utf8'));
  return schedstat === undefined ? Number.NaN : Number(schedstat.split(' ')[1]) / 1e6;
}

export interface MachineTicks {
  total: number;
  /** Includes waits for a disk. */
  idle: number;
  /** What other machines of the same host took. */
  steal: number;
}

/** proc(5): user, nice, system, idle, iowait, irq, softirq, steal; of all processors together. */
export async function machineTicks(): Promise<MachineTicks> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n', 1);
  const values = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const [, , , idle = 0, iowait = 0, , , steal = 0] = values;
  return { total: values.reduce((sum, value) => sum + value, 0), idle: idle + iowait, steal };
}

/** Undefined when the process, thread or cgroup ended between the listing and the read. */
export async function unlessGone<T>(look: Promise<T>): Promise<T | undefined> {
  try {
    return await look;
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
