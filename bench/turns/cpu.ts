/** What processes and their threads have used of the processors, from /proc. */
import { readdir, readFile } from 'node:fs/promises';

/** Linux counts in hundredths of a second towards user space, whatever its own clock is. */
const TICK_MS = 10;
const OTHER = 'its other threads (V8, I/O)';

/** Since it began. */
export interface Spent {
  cpuMs: number;
  /** Ready to run, and no processor was free; NaN where the kernel does not count it. */
  waitedMs: number;
}

/** By name; threads that have none together. */
export async function threadTimes(pid: number, names: ReadonlyMap<number, string>): Promise<Map<string, Spent>> {
  const times = new Map<string, Spent>();
  for (const tid of (await readdir(`/proc/${pid}/task`)).map(Number)) {
    const spent = await spentBy(`/proc/${pid}/task/${tid}`);
    if (spent) add(times, names.get(tid) ?? OTHER, spent);
  }
  return times;
}

/** All its threads, those too that have ended. */
export async function processTime(pid: number): Promise<Spent> {
  const spent = await spentBy(`/proc/${pid}`);
  if (!spent) throw new Error(`process ${pid} has ended`);
  let waitedMs = 0;
  for (const { waitedMs: waited } of (await threadTimes(pid, new Map())).values()) waitedMs += waited;
  return { cpuMs: spent.cpuMs, waitedMs };
}

/** Of all processors together. */
export async function machineBusyMs(): Promise<number> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n', 1);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.trim().split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) * TICK_MS;
}

/** Undefined when it has ended meanwhile. */
async function spentBy(folder: string): Promise<Spent | undefined> {
  try {
    const stat = await readFile(`${folder}/stat`, 'utf8');
    // The name is in brackets and may hold anything; state is the first field after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS, waitedMs: await waited(folder) };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

async function waited(folder: string): Promise<number> {
  try {
    return Number((await readFile(`${folder}/schedstat`, 'utf8')).split(' ')[1]) / 1e6;
  } catch (error) {
    if (isGone(error)) return Number.NaN;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function add(times: Map<string, Spent>, name: string, { cpuMs, waitedMs }: Spent): void {
  const before = times.get(name) ?? { cpuMs: 0, waitedMs: 0 };
  times.set(name, { cpuMs: before.cpuMs + cpuMs, waitedMs: before.waitedMs + waitedMs });
}
