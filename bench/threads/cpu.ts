/** Who used the processors: the server by its threads, and the processes beside it, from /proc. Runs in the bench. */
import { readdir, readFile } from 'node:fs/promises';
import { cpus } from 'node:os';

/** What the kernel counts in: USER_HZ is 100 wherever Linux runs. */
const TICK_MS = 10;

export interface CpuUse {
  seconds: number;
  /** Of all processors, 0 to 1. */
  machine: number;
  /** ms of the server's main thread, of its other threads with the busiest first, and of all of it. */
  mainMs: number;
  workersMs: number[];
  serverMs: number;
  /** ms of the processes beside it, by the names they were given. */
  besideMs: Record<string, number>;
  /** What nobody named here has used, of all processors, 0 to 1: containers, the kernel, strangers. */
  elsewhere: number;
}

interface Look {
  at: number;
  total: number;
  idle: number;
  server: number;
  threads: Map<number, number>;
  beside: Record<string, number>;
}

/** Resolves with a function that tells what was used since then. */
export async function watchCpu(server: number, beside: Record<string, number>): Promise<() => Promise<CpuUse>> {
  const before = await look(server, beside);
  return async () => {
    const after = await look(server, beside);
    const used = [...after.threads].map(([id, ms]): [number, number] => [id, ms - (before.threads.get(id) ?? 0)]);
    const besideMs = Object.fromEntries(
      Object.keys(beside).map((name) => [name, (after.beside[name] ?? 0) - (before.beside[name] ?? 0)]),
    );
    const serverMs = after.server - before.server;
    const machine = 1 - (after.idle - before.idle) / Math.max(1, after.total - before.total);
    const namedMs = Object.values(besideMs).reduce((sum, ms) => sum + ms, serverMs);
    return {
      seconds: (after.at - before.at) / 1_000,
      machine,
      mainMs: used.find(([id]) => id === server)?.[1] ?? 0,
      workersMs: used.flatMap(([id, ms]) => (id === server ? [] : [ms])).sort((a, b) => b - a),
      serverMs,
      besideMs,
      elsewhere: Math.max(0, machine - namedMs / (cpus().length * (after.at - before.at))),
    };
  };
}

async function look(server: number, beside: Record<string, number>): Promise<Look> {
  const [machine, ofServer, threads, others] = await Promise.all([
    machineTicks(),
    cpuMs(`/proc/${server}/stat`),
    threadsMs(server),
    Promise.all(Object.entries(beside).map(async ([name, pid]) => [name, await cpuMs(`/proc/${pid}/stat`)] as const)),
  ]);
  return { at: performance.now(), ...machine, server: ofServer, threads, beside: Object.fromEntries(others) };
}

async function threadsMs(pid: number): Promise<Map<number, number>> {
  const ids = await readdir(`/proc/${pid}/task`);
  const each = ids.map(async (id): Promise<[number, number]> => {
    // A thread may end between the listing and the look.
    const ms = await cpuMs(`/proc/${pid}/task/${id}/stat`).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ESRCH') return 0;
      throw error;
    });
    return [Number(id), ms];
  });
  return new Map(await Promise.all(each));
}

/** proc(5): fields 14 and 15, counted from behind the name in brackets, which may hold anything. */
async function cpuMs(path: string): Promise<number> {
  const text = await readFile(path, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

async function machineTicks(): Promise<{ total: number; idle: number }> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n', 1);
  const values = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const [, , , idle = 0, iowait = 0] = values;
  return { total: values.reduce((sum, value) => sum + value, 0), idle: idle + iowait };
}
