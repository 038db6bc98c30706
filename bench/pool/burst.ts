/** Many users come at the same moment and each calls one tool: from a warm pool of some size, or with a container made for each. */
import type { BareContainers } from '../shared/bare-container.js';
import { WarmPool, type HeldSandbox } from '../shared/warm-pool.js';
import { allOf, withHandshake } from './bare.js';
import { orInterrupted } from '../shared/work.js';

export interface BurstPlan {
  people: number;
  /** Sizes of the warm pool when they come. */
  warm: readonly number[];
}

export interface Burst {
  people: number;
  /** Size of the pool; undefined without one. */
  warm: number | undefined;
  /** From the arrival to an answered tool call, of each user, the fastest first. */
  servedMs: number[];
  /** From the arrival to a sandbox. */
  leasedMs: number[];
  /** How busy the event loop of the simulated users was, 0 to 1. */
  loop: number;
}

export interface BurstOptions {
  bares: BareContainers;
  plan: BurstPlan;
  rounds: number;
  signal: AbortSignal;
  progress: (doing: string) => void;
}

/** Without a pool, then with each size of the pool. */
export async function measureBursts({ bares, plan, rounds, signal, progress }: BurstOptions): Promise<Burst[]> {
  const bursts: Burst[] = [];
  const { people } = plan;
  for (let round = 1; round <= rounds; round++) {
    progress(`${people} at once, a container made for each`);
    bursts.push(await withoutPool(bares, people, signal));
    for (const size of plan.warm) {
      progress(`${people} at once, ${size} warm`);
      bursts.push(await withPool(people, size, signal));
    }
  }
  return bursts;
}

async function withoutPool(bares: BareContainers, people: number, signal: AbortSignal): Promise<Burst> {
  try {
    return await burst(people, undefined, async () => {
      const container = await withHandshake(bares, signal);
      return { call: () => container.call() };
    });
  } finally {
    await bares.removeAll();
  }
}

async function withPool(people: number, size: number, signal: AbortSignal): Promise<Burst> {
  const pool = { min: size, max: Math.max(size, 1), maxWaiting: people };
  // Missing containers are started for those who wait and no more: both ways make the same number in all.
  const warmPool = await WarmPool.open({ pool, budget: { containers: people }, leaseTimeoutMs: 300_000 });
  try {
    await warmPool.full(size, signal);
    const lease = async (): Promise<HeldSandbox> => {
      signal.throwIfAborted();
      return warmPool.lease();
    };
    return await orInterrupted(burst(people, size, lease), signal);
  } finally {
    await warmPool.close();
  }
}

type Arrive = () => Promise<{ call: () => Promise<number> }>;

async function burst(people: number, warm: number | undefined, arrive: Arrive): Promise<Burst> {
  const servedMs: number[] = [];
  const leasedMs: number[] = [];
  const loop = performance.eventLoopUtilization();
  const before = performance.now();
  const one = async (): Promise<void> => {
    const sandbox = await arrive();
    leasedMs.push(performance.now() - before);
    await sandbox.call();
    servedMs.push(performance.now() - before);
  };
  await allOf(Array.from({ length: people }, one));
  return { people, warm, servedMs, leasedMs, loop: performance.eventLoopUtilization(loop).utilization };
}
