/** All warm pools of the host: one per image and environment, one budget for all, planned together. Docker thread. */
import { availableParallelism, freemem } from 'node:os';
import { isImageServer, poolKey, serversOf } from '../../../src/shared/config-mcp.js';
import type { Config } from '../../../src/shared/config.js';
import type { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { ContainerPool } from './container-pool.js';
import type { SandboxDriver } from '../driver/driver.js';
import { planPools } from './plan-pool.js';
import type { Sandbox, SandboxState } from './sandbox.js';
import type { ToolCache } from './tool-cache.js';

const PLAN_EVERY_MS = 1_000;
const CHECK_EVERY_MS = 15_000;
/** Free memory that a start is assumed to take until it shows. */
const START_MB = 32;
/** Assumed until releases were seen. */
const FIRST_RELEASE_MS = 5_000;
const MIB = 1_048_576;

export interface PoolsOptions {
  config: Config;
  instance: string;
  driver: SandboxDriver;
  toolCache?: ToolCache | undefined;
  log: Logger;
  onClean?: (name: string) => void;
  /** Every second, from `open` on. */
  onTick?: () => void;
  /** Sandboxes are started on demand only, until `fillPools`. */
  fillLater?: boolean | undefined;
}

export class Pools {
  readonly #options: PoolsOptions;
  /** By server; servers with the same image and environment share one. */
  readonly #byServer = new Map<string, ContainerPool>();
  #releaseMs = FIRST_RELEASE_MS;
  #releasedAt = performance.now();
  #planning: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #checkedAt = performance.now();
  #closed = false;
  #filling: boolean;

  constructor(options: PoolsOptions) {
    this.#options = options;
    this.#filling = !options.fillLater;
    const { config, driver } = options;
    const { min, max, maxStarting, idleMs } = config.sandbox.pool;
    const maxWarm = Math.min(max, driver.maxWarm);
    const limits = {
      min: Math.min(min, maxWarm),
      max: maxWarm,
      maxStarting,
      maxStartingAhead: Math.min(maxStarting, halfOfTheProcessors()),
      idleMs,
    };
    const byImage = new Map<string, ContainerPool>();
    for (const [server, settings] of serversOf(config.mcpServers, isImageServer)) {
      const { image, env } = settings;
      const key = poolKey(settings);
      const pool =
        byImage.get(key) ??
        new ContainerPool({
          ...options,
          server,
          image,
          env,
          limits,
          onChange: () => this.#planSoon(),
          forecast: () => ({ room: this.#room(this.distinct()), releaseMs: this.#releaseMs }),
        });
      byImage.set(key, pool);
      this.#byServer.set(server, pool);
    }
  }

  /** Starts to plan: sandboxes on demand, and warm ones ahead of it. */
  open(): void {
    if (this.#closed) return;
    this.#timer = setInterval(() => {
      this.#planSoon();
      this.#options.onTick?.();
      if (performance.now() - this.#checkedAt < CHECK_EVERY_MS) return;
      this.#checkedAt = performance.now();
      for (const pool of this.distinct()) void pool.checkWarm(CHECK_EVERY_MS / 2);
    }, PLAN_EVERY_MS);
    this.#planSoon();
  }

  fillPools(): void {
    this.#filling = true;
    this.#planSoon();
  }

  of(server: string): ContainerPool | undefined {
    return this.#byServer.get(server);
  }

  distinct(): ContainerPool[] {
    return [...new Set(this.#byServer.values())];
  }

  find(name: string): { pool: ContainerPool; sandbox: Sandbox } | undefined {
    for (const pool of this.distinct()) {
      for (const sandbox of pool.all()) if (sandbox.name === name) return { pool, sandbox };
    }
    return undefined;
  }

  count(state: SandboxState): number {
    return this.distinct().reduce((sum, pool) => sum + pool.counts[state], 0);
  }

  /** Notes a release: their rate gives waiters an expected wait. */
  noteRelease(): void {
    const now = performance.now();
    this.#releaseMs += (now - this.#releasedAt - this.#releaseMs) / 4;
    this.#releasedAt = now;
  }

  /** Plans, starts and leases nothing from now on. */
  close(error: FairleadError): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearImmediate(this.#planning);
    for (const pool of this.distinct()) pool.close(error);
  }

  /** One plan per turn of the event loop, whatever happens in it. */
  #planSoon(): void {
    if (this.#closed || !this.#timer) return;
    this.#planning ??= setImmediate(() => {
      this.#planning = undefined;
      if (!this.#closed) this.#plan();
    });
  }

  #plan(): void {
    const pools = this.distinct();
    const state = pools.map(({ counts, demand, limits, health, churn }) => ({
      counts,
      demand,
      limits: this.#filling ? limits : { ...limits, min: 0 },
      health,
      churn,
    }));
    const plans = planPools({ pools: state, room: this.#room(pools), now: performance.now() });
    for (const [index, plan] of plans.entries()) pools[index]?.apply(plan);
  }

  /** How many more containers the host's budget allows. */
  #room(pools: readonly ContainerPool[]): number {
    const { containers, minFreeMemoryMb } = this.#options.config.sandbox.budget;
    let total = 0;
    let starting = 0;
    for (const { counts } of pools) {
      total += counts.starting + counts.warm + counts.leased + counts.draining;
      starting += counts.starting;
    }
    const freeMb = freemem() / MIB - minFreeMemoryMb - starting * START_MB;
    return Math.max(0, Math.min(containers - total, Math.floor(freeMb / START_MB)));
  }
}

/** The other half is for those who work in their sandboxes meanwhile. */
function halfOfTheProcessors(): number {
  return Math.max(1, Math.floor(availableParallelism() / 2));
}
