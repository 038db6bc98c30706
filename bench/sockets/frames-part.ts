/** Frames a second, in and out, of all servers in turn, and their cost for the server's thread and the generator. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Load, LoadGroup } from '../load/load.js';
import { mainThreadNs } from './proc.js';
import type { Server } from './servers.js';
import type { Kind } from './wire.js';
import { median } from '../shared/figures.js';

const WARM_MS = 150;

export interface FramesOptions {
  load: Load;
  servers: readonly Server[];
  sockets: number;
  /** Frames in flight on each socket. */
  depths: readonly number[];
  rounds: number;
  windowMs: number;
  signal: AbortSignal;
  step: (doing: string) => void;
}

export interface FrameRate {
  kind: Kind;
  name: string;
  depth: number;
  /** Answered frames a second: as many come in as go out. */
  rate: number;
  /** CPU time of the server's thread for one frame, µs. */
  cpuUs: number;
  /** 0 to 1. */
  serverBusy: number;
  generatorBusy: number;
  /** CPU time of the generator for one frame, µs. */
  generatorUs: number;
}

/** Medians over the rounds; the first round warms up all of them and is left out. */
export async function measureFrames(options: FramesOptions): Promise<FrameRate[]> {
  const { load, servers, sockets, depths, rounds, step } = options;
  const groups: { server: Server; group: LoadGroup }[] = [];
  for (const server of servers) {
    groups.push({ server, group: await load.connect({ ...server.echo, count: sockets }) });
  }
  const windows: FrameRate[] = [];
  for (let round = 0; round <= rounds; round++) {
    for (const depth of depths) {
      for (const { server, group } of groups) {
        step(`${server.name}, ${depth} frames in flight on each of ${sockets} sockets`);
        const measured = await measure(options, server, group, depth, round === 0);
        if (round > 0) windows.push(measured);
      }
    }
  }
  for (const { group } of groups) await group.drop();
  return servers.flatMap((server) => depths.map((depth) => middle(windows, server, depth)));
}

async function measure(
  options: FramesOptions,
  server: Server,
  group: LoadGroup,
  depth: number,
  isWarmUp: boolean,
): Promise<FrameRate> {
  const { load, signal } = options;
  const windowMs = isWarmUp ? WARM_MS : options.windowMs;
  await group.pump(server.ping, depth);
  await delay(WARM_MS, undefined, { signal });
  const cpuBefore = await mainThreadNs(server.pid);
  const busy = load.watch();
  const ownBefore = process.cpuUsage();
  const before = group.counts.framesIn;
  const startedAt = performance.now();
  await delay(windowMs, undefined, { signal });
  const frames = group.counts.framesIn - before;
  const ms = performance.now() - startedAt;
  const generatorBusy = busy();
  const own = process.cpuUsage(ownBefore);
  const cpuNs = (await mainThreadNs(server.pid)) - cpuBefore;
  await group.rest();
  return {
    kind: server.kind,
    name: server.name,
    depth,
    rate: (frames / ms) * 1_000,
    cpuUs: cpuNs / 1_000 / frames,
    serverBusy: Math.min(1, cpuNs / 1e6 / ms),
    generatorBusy,
    generatorUs: (own.user + own.system) / frames,
  };
}

function middle(windows: readonly FrameRate[], { kind, name }: Server, depth: number): FrameRate {
  const own = windows.filter((window) => window.kind === kind && window.depth === depth);
  const of = (value: (window: FrameRate) => number): number => median(own.map(value));
  return {
    kind,
    name,
    depth,
    rate: of(({ rate }) => rate),
    cpuUs: of(({ cpuUs }) => cpuUs),
    serverBusy: of(({ serverBusy }) => serverBusy),
    generatorBusy: of(({ generatorBusy }) => generatorBusy),
    generatorUs: of(({ generatorUs }) => generatorUs),
  };
}
