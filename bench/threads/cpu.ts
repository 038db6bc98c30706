/** Processor time of the server's threads and of the other processes, from /proc. Runs in the bench. */
import { readdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { cpuMs, machineTicks, processMs, unlessGone, waitedMs } from '../suite/cpu.js';

export interface CpuUse {
  seconds: number;
  /** Of all processors, 0 to 1. */
  machine: number;
  /** ms of the server's main thread, of its other threads with the busiest first, and of all of it. */
  mainMs: number;
  /** ms in which the main thread was ready to run and no processor was free. */
  mainWaitedMs: number;
  workersMs: number[];
  serverMs: number;
  /** ms of the processes beside it, by the names they were given. */
  besideMs: Record<string, number>;
  /** Share of all processors that other processes used, 0 to 1: containers, the kernel, strangers. */
  elsewhere: number;
}

interface Look {
  at: number;
  total: number;
  idle: number;
  server: number;
  mainWaited: number;
  threads: Map<number, number>;
  beside: Record<string, number>;
}

/** Resolves with a function that tells the use since then. */
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
      mainWaitedMs: after.mainWaited - before.mainWaited,
      workersMs: used.flatMap(([id, ms]) => (id === server ? [] : [ms])).sort((a, b) => b - a),
      serverMs,
      besideMs,
      elsewhere: Math.max(0, machine - namedMs / (cpus().length * (after.at - before.at))),
    };
  };
}

async function look(server: number, beside: Record<string, number>): Promise<Look> {
  const [machine, mainWaited, ofServer, threads, others] = await Promise.all([
    machineTicks(),
    waitedMs(`/proc/${server}/task/${server}`),
    processMs(server),
    threadsMs(server),
    Promise.all(Object.entries(beside).map(async ([name, pid]) => [name, await processMs(pid)] as const)),
  ]);
  return {
    at: performance.now(),
    ...machine,
    server: ofServer,
    mainWaited,
    threads,
    beside: Object.fromEntries(others),
  };
}

async function threadsMs(pid: number): Promise<Map<number, number>> {
  const ids = await readdir(`/proc/${pid}/task`);
  const each = ids.map(async (id): Promise<[number, number]> => {
    const ms = (await unlessGone(cpuMs(`/proc/${pid}/task/${id}`))) ?? 0;
    return [Number(id), ms];
  });
  return new Map(await Promise.all(each));
}
