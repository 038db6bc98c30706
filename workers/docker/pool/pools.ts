/** All warm pools of the host: one per image and environment, one budget for all, planned together. Docker thread. */
import { availableParallelism, freemem } from 'node:os';
import { isImageServer, poolKey, serversOf, type ImageServerConfig } from '../../../src/shared/config-mcp.js';
import {
  imagePoolKey,
  limitsOf,
  poolName,
  serverWithImages,
  type SandboxImage,
} from '../../../src/shared/config-images.js';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { ContainerPool } from './container-pool.js';
import type { SandboxDriver } from '../driver/driver.js';
import { planPools, type PoolCounts, type PoolLimits } from './plan-pool.js';
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
  /** By `poolName` of a server and a chosen image; those with the same image, environment and limits share one. */
  readonly #byName = new Map<string, ContainerPool>();
  /** By `poolKey` or `imagePoolKey`. */
  readonly #byKey = new Map<string, ContainerPool>();
  /** Pools that no server uses any more. Each is closed and forgotten when its last sandbox is gone. */
  readonly #retired = new Set<ContainerPool>();
  readonly #limits: PoolLimits;
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
    this.#limits = {
      min: Math.min(min, maxWarm),
      max: maxWarm,
      maxStarting,
      maxStartingAhead: Math.min(maxStarting, halfOfTheProcessors()),
      idleMs,
    };
    this.applyConfig();
  }

  /** Makes a pool for each image of the configuration, and retires the other pools: they lease nothing more, and their leased sandboxes go on. */
  applyConfig(): void {
    if (this.#closed) return;
    const unused = new Map(this.#byKey);
    this.#byName.clear();
    const use = (name: string, key: string, make: () => ContainerPool): void => {
      const pool = this.#byKey.get(key) ?? make();
      this.#byKey.set(key, pool);
      this.#byName.set(name, pool);
      unused.delete(key);
    };
    const { mcpServers, images, sandbox } = this.#options.config;
    for (const [server, settings] of serversOf(mcpServers, isImageServer)) {
      use(server, poolKey(settings), () => this.#newPool(server, settings));
    }
    const chosenFor = serverWithImages(mcpServers);
    for (const [name, image] of chosenFor ? Object.entries(images) : []) {
      const [server, settings] = chosenFor!;
      const key = imagePoolKey(settings, image, sandbox);
      use(poolName(server, name), key, () => this.#newPool(server, settings, [name, image]));
    }
    for (const [key, pool] of unused) {
      this.#byKey.delete(key);
      this.#retired.add(pool);
      pool.close(new FairleadError('ERR_SANDBOX', 'the server has been changed in the configuration, or removed'));
    }
    this.#planSoon();
  }

  #newPool(server: string, { image, env }: ImageServerConfig, chosen?: [string, SandboxImage]): ContainerPool {
    const { sandbox } = this.#options.config;
    const [name, settings] = chosen ?? [];
    const max = Math.min(settings?.pool.max ?? Infinity, this.#options.driver.maxWarm);
    return new ContainerPool({
      ...this.#options,
      server,
      name: poolName(server, name),
      image: settings?.image ?? image,
      env,
      ...(settings && { sandboxLimits: limitsOf(settings, sandbox) }),
      limits: settings ? { ...this.#limits, min: Math.min(settings.pool.min, max), max } : this.#limits,
      onChange: () => this.#planSoon(),
      forecast: () => ({ room: this.#room(this.distinct()), releaseMs: this.#releaseMs }),
    });
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

  /**
   * A sandbox of that pool, with the pool that it is of: who waits in the line of an image that a reload takes away waits on in that of the
   * server's new one. Errors as `ContainerPool.take`.
   */
  async take(
    first: ContainerPool,
    { server, image }: { server: string; image?: string | undefined },
    signal: AbortSignal,
    user?: string,
  ): Promise<{ sandbox: Sandbox; pool: ContainerPool }> {
    for (let pool = first; ;) {
      try {
        return { sandbox: await pool.take(signal, user), pool };
      } catch (error) {
        const now = this.of(server, image);
        if (!now || now === pool) throw error;
        pool = now;
      }
    }
  }

  /** ERR_SANDBOX. */
  get(server: string, image?: string): ContainerPool {
    const pool = this.of(server, image);
    if (pool) return pool;
    const isThere = this.of(server) !== undefined;
    throw new FairleadError(
      'ERR_SANDBOX',
      isThere && image !== undefined ? gone(image) : `mcpServers has no server ${server}`,
    );
  }

  of(server: string, image?: string): ContainerPool | undefined {
    return this.#byName.get(poolName(server, image));
  }

  distinct(): ContainerPool[] {
    return [...this.#byKey.values(), ...this.#retired];
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
    for (const pool of this.#retired) {
      pool.apply({ start: 0, stop: pool.counts.warm, target: 0 });
      if (isEmpty(pool.counts)) this.#retired.delete(pool);
    }
    const pools = [...this.#byKey.values()];
    const state = pools.map(({ counts, demand, limits, health, churn }) => ({
      counts,
      demand,
      limits: this.#filling ? limits : { ...limits, min: 0 },
      health,
      churn,
    }));
    const plans = planPools({ pools: state, room: this.#room(this.distinct()), now: performance.now() });
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

function gone(image: string): string {
  return (
    `this session has chosen the image ${image}, which the configuration (\`images\`) no longer has. Its files are kept, and can be ` +
    'downloaded: make a new session, or ask the operator to put the image back'
  );
}

function isEmpty({ starting, warm, leased, draining }: PoolCounts): boolean {
  return starting + warm + leased + draining === 0;
}

/** The other half is for those who work in their sandboxes meanwhile. */
function halfOfTheProcessors(): number {
  return Math.max(1, Math.floor(availableParallelism() / 2));
}
