/** Samples what the server holds, now and over time, after all of its threads have collected their garbage. */
import { performance, type EventLoopUtilization } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type { LogLine } from '../../test/helpers/engine.js';
import { collectGarbage } from '../suite/collect.js';
import { openFiles, rssBytes } from '../suite/proc.js';
import type { World } from './world.js';
import { fetchMetrics } from '../../test/helpers/metrics.js';

export interface Sample {
  /** Since the sampler was made, ms. */
  at: number;
  /** Sessions that have lived to their end by then. */
  lives: number;
  rssBytes: number;
  /** By thread, as /metrics has it. */
  heapBytes: ReadonlyMap<string, number>;
  openFiles: number;
  sandboxes: number;
  redisBytes: number;
  redisKeys: number;
  connections: number;
  sessionsInMemory: number;
}

/** Time between two looks while the server comes to rest. */
const LOOK_EVERY_MS = 250;
const REST_MS = 20_000;
const COLLECT_MS = 15_000;

export class Sampler {
  readonly #world: World;
  readonly #lives: () => number;
  readonly #startedAt = performance.now();
  /** Of this process, which runs the users and the sampler. */
  readonly #busy: EventLoopUtilization = performance.eventLoopUtilization();
  #collections = 0;

  constructor(world: World, lives: () => number) {
    this.#world = world;
    this.#lives = lives;
  }

  async sample(): Promise<Sample> {
    const { engine, client, sandboxes } = this.#world;
    await this.#collect();
    const { heapBytes, gauges } = readMetrics(await fetchMetrics(engine.url));
    const memory = await client.sendCommand<string>(['INFO', 'memory']);
    return {
      at: performance.now() - this.#startedAt,
      lives: this.#lives(),
      rssBytes: await rssBytes(engine.pid),
      heapBytes,
      openFiles: await openFiles(engine.pid),
      sandboxes: await sandboxes(),
      redisBytes: Number(/^used_memory:(\d+)/m.exec(memory)?.[1]),
      redisKeys: await client.sendCommand<number>(['DBSIZE']),
      connections: gauges.get('fairlead_connections') ?? 0,
      sessionsInMemory: gauges.get('fairlead_sessions_in_memory') ?? 0,
    };
  }

  /** Samples for as long. */
  async sampleFor(
    ms: number,
    everyMs: number,
    signal: AbortSignal,
    onSample: (share: number) => void,
  ): Promise<Sample[]> {
    const samples: Sample[] = [];
    const startedAt = performance.now();
    const end = startedAt + ms;
    for (let next = startedAt; next < end; next += everyMs) {
      // A sample that takes longer than the interval delays the next one.
      next = Math.max(next, performance.now());
      await pause(Math.max(0, next - performance.now()), undefined, { signal });
      samples.push(await this.sample());
      onSample((performance.now() - startedAt) / ms);
    }
    await pause(Math.max(0, end - performance.now()), undefined, { signal });
    return samples;
  }

  /** With nobody there: the server releases some things only after the last answer. */
  async atRest(signal: AbortSignal): Promise<Sample> {
    const deadline = performance.now() + REST_MS;
    let last = await this.sample();
    for (;;) {
      await pause(LOOK_EVERY_MS, undefined, { signal });
      const now = await this.sample();
      const same =
        now.openFiles === last.openFiles && now.sandboxes === last.sandboxes && now.redisKeys === last.redisKeys;
      if (same && now.connections === 0 && now.sessionsInMemory === 0) return now;
      if (performance.now() > deadline) return now; // the table shows what is left
      last = now;
    }
  }

  /** Share of the time in which this process was busy. */
  busyShare(): number {
    return performance.eventLoopUtilization(this.#busy).utilization;
  }

  async #collect(): Promise<void> {
    const round = ++this.#collections;
    const { engine } = this.#world;
    const gone = engine.exited.then((): never => {
      throw new Error('the server has ended in the middle of it');
    });
    const isDone = (line: LogLine): boolean => line.msg === 'collected' && line['count'] === round;
    const done = engine.waitForLog(isDone, COLLECT_MS, gone);
    collectGarbage(engine.pid);
    await done;
  }
}

/** Prometheus text: gauges without labels, and the heap by thread. */
function readMetrics(text: string): { heapBytes: Map<string, number>; gauges: Map<string, number> } {
  const heapBytes = new Map<string, number>();
  const gauges = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name = '', thread, value = ''] = /^(\w+)(?:\{thread="([^"]*)"\})? (\S+)/.exec(line) ?? [];
    if (name === 'fairlead_heap_used_bytes' && thread !== undefined) heapBytes.set(thread, Number(value));
    else if (name !== '' && thread === undefined) gauges.set(name, Number(value));
  }
  return { heapBytes, gauges };
}

export function heapOf({ heapBytes }: Sample): number {
  return [...heapBytes.values()].reduce((sum, bytes) => sum + bytes, 0);
}
