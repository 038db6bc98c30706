/** Processor time of processes and their threads, from /proc. */
import { readdir } from 'node:fs/promises';
import { cpuMs, machineTicks, TICK_MS, unlessGone, waitedMs } from '../suite/cpu.js';

const OTHER = 'its other threads (V8, I/O)';

/** Since it began. */
export interface Spent {
  cpuMs: number;
  /** Time ready to run while no processor was free; NaN where the kernel does not count it. */
  waitedMs: number;
}

/** By name; threads without a name are summed. */
export async function threadTimes(pid: number, names: ReadonlyMap<number, string>): Promise<Map<string, Spent>> {
  const times = new Map<string, Spent>();
  for (const tid of (await readdir(`/proc/${pid}/task`)).map(Number)) {
    const spent = await unlessGone(spentBy(`/proc/${pid}/task/${tid}`));
    if (spent) add(times, names.get(tid) ?? OTHER, spent);
  }
  return times;
}

/** All its threads, ended ones included. */
export async function processTime(pid: number): Promise<Spent> {
  const spent = await spentBy(`/proc/${pid}`);
  let waitedMs = 0;
  for (const { waitedMs: waited } of (await threadTimes(pid, new Map())).values()) waitedMs += waited;
  return { cpuMs: spent.cpuMs, waitedMs };
}

/** Of all processors together. */
export async function machineBusyMs(): Promise<number> {
  const { total, idle, steal } = await machineTicks();
  return (total - idle - steal) * TICK_MS;
}

async function spentBy(folder: string): Promise<Spent> {
  return { cpuMs: await cpuMs(folder), waitedMs: await waitedMs(folder) };
}

function add(times: Map<string, Spent>, name: string, { cpuMs, waitedMs }: Spent): void {
  const before = times.get(name) ?? { cpuMs: 0, waitedMs: 0 };
  times.set(name, { cpuMs: before.cpuMs + cpuMs, waitedMs: before.waitedMs + waitedMs });
}
