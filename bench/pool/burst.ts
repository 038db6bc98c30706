/** So many people come at the same moment and each calls one tool: a shelf of some size, or a container made for each as it comes. */
import type { BareContainers } from '../bare-container.js';
import { orInterrupted } from '../report.js';
import { Shelf, type HeldSandbox } from '../shelf.js';
import { allOf, greeted } from './bare.js';

export interface BurstPlan {
  people: number;
  /** Sizes of the shelf when they come. */
  shelves: readonly number[];
}

export interface Burst {
  people: number;
  /** undefined: without a pool. */
  shelf: number | undefined;
  /** From the arrival to an answered tool call, of each, the quickest first. */
  servedMs: number[];
  /** From the arrival to a sandbox. */
  leasedMs: number[];
  /** How busy the event loop of those who come was, 0 to 1. */
  loop: number;
}

export interface BurstOptions {
  bares: BareContainers;
  plan: BurstPlan;
  rounds: number;
  signal: AbortSignal;
  progress: (doing: string) => void;
}

/** In turns: without a pool, then each size of the shelf. */
export async function measureBursts({ bares, plan, rounds, signal, progress }: BurstOptions): Promise<Burst[]> {
  const bursts: Burst[] = [];
  const { people, shelves } = plan;
  for (let round = 1; round <= rounds; round++) {
    progress(`${people} at once, a container made for each`);
    bursts.push(await withoutPool(bares, people, signal));
    for (const shelf of shelves) {
      progress(`${people} at once, ${shelf} on the shelf`);
      bursts.push(await withShelf(people, shelf, signal));
    }
  }
  return bursts;
}

async function withoutPool(bares: BareContainers, people: number, signal: AbortSignal): Promise<Burst> {
  try {
    return await burst(people, undefined, async () => {
      const container = await greeted(bares, signal);
      return { call: () => container.call() };
    });
  } finally {
    await bares.removeAll();
  }
}

async function withShelf(people: number, size: number, signal: AbortSignal): Promise<Burst> {
  const pool = { min: size, max: Math.max(size, 1), maxWaiting: people };
  // What is not on the shelf is started for those who wait, and nothing beyond: both ways make as many in all.
  const shelf = await Shelf.open({ pool, budget: { containers: people }, leaseTimeoutMs: 300_000 });
  try {
    await shelf.full(size, signal);
    const lease = async (): Promise<HeldSandbox> => {
      signal.throwIfAborted();
      return shelf.lease();
    };
    return await orInterrupted(burst(people, size, lease), signal);
  } finally {
    await shelf.close();
  }
}

type Arrive = () => Promise<{ call: () => Promise<number> }>;

async function burst(people: number, shelf: number | undefined, arrive: Arrive): Promise<Burst> {
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
  return { people, shelf, servedMs, leasedMs, loop: performance.eventLoopUtilization(loop).utilization };
}
