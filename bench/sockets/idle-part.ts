/** Attaches a second, and what an attached idle socket costs the server and the kernel. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Load, LoadGroup } from '../load/load.js';
import { collectGarbage } from '../suite/collect.js';
import { rssBytes } from '../suite/proc.js';
import { kernelBytes } from './proc.js';
import type { Server } from './servers.js';
import type { Kind } from './wire.js';
import { percentile } from '../shared/figures.js';

/**
 * Warm-up sockets, which stay open: the first attaches pay for code that is compiled once, and for each thread's young
 * generation, which grows by tens of MiB when a server is busy and stays so.
 */
const WARM_UP = 2_000;
const STEPS = 6;

export interface IdleOptions {
  load: Load;
  server: Server;
  sockets: number;
  atOnce: number;
  /** After a collection of the server's garbage, before the memory is read. */
  settleMs: number;
  signal: AbortSignal;
}

export interface IdleCost {
  kind: Kind;
  name: string;
  attachesPerSecond: number;
  p50: number;
  p99: number;
  /** Server RSS for one socket, without garbage. */
  rssBytes: number;
  /** The kernel's memory for one end of a connection: half of what both ends on this machine take. */
  kernelBytes: number;
  /** RSS of the generator for one client. */
  generatorBytes: number;
  /** Number of sockets, and MiB of RSS beyond the warm-up; garbage of the attaches included. */
  curve: [sockets: number, mib: number][];
}

/** Twice: the second collection gives back to the system what the first one frees. */
async function settle({ server, settleMs, signal }: IdleOptions): Promise<void> {
  for (let time = 0; time < 2; time++) {
    collectGarbage(server.pid);
    await delay(settleMs, undefined, { signal });
  }
}

export async function measureIdle(options: IdleOptions): Promise<IdleCost> {
  const { load, server, sockets, atOnce } = options;
  const groups: LoadGroup[] = [await load.connect({ ...server.echo, count: WARM_UP, atOnce })];
  await settle(options);
  const rssBefore = await rssBytes(server.pid);
  const kernelBefore = await kernelBytes();
  const ownBefore = await rssBytes(process.pid);
  const times: number[] = [];
  const curve: IdleCost['curve'] = [[0, 0]];
  let attachMs = 0;
  for (let step = 1; step <= STEPS; step++) {
    const count = Math.round((sockets * step) / STEPS) - times.length;
    const startedAt = performance.now();
    const group = await load.connect({ ...server.echo, count, atOnce });
    attachMs += performance.now() - startedAt;
    groups.push(group);
    times.push(...group.times);
    curve.push([times.length, ((await rssBytes(server.pid)) - rssBefore) / 2 ** 20]);
  }
  await settle(options);
  const rss = (await rssBytes(server.pid)) - rssBefore;
  const kernel = (await kernelBytes()) - kernelBefore;
  const own = (await rssBytes(process.pid)) - ownBefore;
  const lost = groups.reduce((sum, { counts }) => sum + counts.closed, 0);
  if (lost > 0) throw new Error(`${server.name}: ${lost} idle sockets were closed`);
  for (const group of groups) await group.drop();
  return {
    kind: server.kind,
    name: server.name,
    attachesPerSecond: (sockets / attachMs) * 1_000,
    p50: percentile(times, 50),
    p99: percentile(times, 99),
    rssBytes: rss / sockets,
    kernelBytes: kernel / sockets / 2,
    generatorBytes: own / sockets,
    curve,
  };
}
