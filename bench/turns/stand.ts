/** The parts of this bench: Redis, the stand-in model, the server with its warm pool, the users. */
import { setTimeout as pause } from 'node:timers/promises';
import { dockerHost } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startRedis, type TestRedis } from '../../test/helpers/redis.js';
import { Crowd } from './crowd.js';
import { Model } from './model.js';
import { scrape, type Scrape } from './scrape.js';
import type { Pace } from './script.js';

const PRELOAD = new URL('thread-names.js', import.meta.url).href;
const LOOK_MS = 50;
const FILL_MS = 60_000;
/** All simulated users are the user `local`. */
const MAX_SOCKETS = 1_000_000;

export interface StandOptions {
  pace: Pace;
  /** Containers in the warm pool. */
  warm: number;
  /** Processes of people. */
  processes: number;
  signal: AbortSignal;
}

export class Stand {
  readonly redis: TestRedis;
  readonly model: Model;
  readonly engine: Engine;
  readonly crowd: Crowd;
  readonly #warm: number;
  readonly #closers: (() => Promise<unknown>)[];
  readonly #threads = new Map<number, string>();

  private constructor(
    parts: Pick<Stand, 'redis' | 'model' | 'engine' | 'crowd'>,
    warm: number,
    closers: (() => Promise<unknown>)[],
  ) {
    this.#warm = warm;
    this.redis = parts.redis;
    this.model = parts.model;
    this.engine = parts.engine;
    this.crowd = parts.crowd;
    this.#closers = closers;
  }

  static async open(options: StandOptions): Promise<Stand> {
    const { pace, warm, processes, signal } = options;
    const closers: (() => Promise<unknown>)[] = [];
    try {
      const redis = await startRedis();
      closers.push(() => redis.stop());
      const model = await Model.start(pace);
      closers.push(() => model.stop());
      signal.throwIfAborted();
      const engine = await startEngine({
        config: {
          limits: { maxSocketsPerUser: MAX_SOCKETS, maxReadsPerSecond: 0 },
          sandbox: { driver: 'docker', pool: { min: warm, max: Math.max(100, warm) } },
          approvals: { rules: [{ server: 'workspace', tool: 'list_files', action: 'allow' }] },
        },
        env: {
          REDIS_URL: redis.url,
          DOCKER_HOST: dockerHost(),
          ANTHROPIC_API_KEY: 'bench',
          ANTHROPIC_BASE_URL: model.url,
          NODE_OPTIONS: `--import ${PRELOAD}`,
        },
      });
      closers.push(() => engine.stop());
      const crowd = new Crowd(processes);
      closers.push(() => crowd.stop());
      const stand = new Stand({ redis, model, engine, crowd }, warm, closers);
      await stand.poolFull(signal);
      return stand;
    } catch (error) {
      await closeAll(closers);
      throw error;
    }
  }

  /** The server's threads by their thread id; remembered, since the oldest lines of its log are dropped. */
  get threads(): ReadonlyMap<number, string> {
    for (const { msg, tid, name } of this.engine.logs) {
      if (msg === 'bench: a thread') this.#threads.set(Number(tid), String(name));
    }
    return this.#threads;
  }

  /** Resolves when the spare thread has begun to load, some seconds after the start: that takes a processor for a moment. */
  async spareBegun(): Promise<void> {
    await this.engine.waitForLog(({ msg, name }) => msg === 'bench: a thread' && name === 'agent, spare');
  }

  scrape(signal: AbortSignal): Promise<Scrape> {
    return scrape(this.engine.url, signal);
  }

  close(): Promise<void> {
    return closeAll(this.#closers);
  }

  /** Polls: the server does not announce a full pool. */
  async poolFull(signal: AbortSignal): Promise<void> {
    const warm = this.#warm;
    const until = performance.now() + FILL_MS;
    while ((await this.scrape(signal)).sum('fairlead_sandboxes', { state: 'warm' }) < warm) {
      if (performance.now() > until) throw new Error(`there are no ${warm} warm containers after ${FILL_MS} ms`);
      await pause(LOOK_MS, undefined, { signal });
    }
  }
}

/** In reverse order; a failure does not keep the others from closing. */
async function closeAll(closers: (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (let close = closers.pop(); close; close = closers.pop()) {
    await close().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw new AggregateError(failures, 'not everything could be ended');
}
