/** How long from asking for a sandbox to having one, on a shelf that stands still; against a container made for it by dockerode alone. */
import type { BareContainers } from '../bare-container.js';
import { orInterrupted } from '../report.js';
import { Shelf, type HeldSandbox } from '../shelf.js';
import { greeted } from './bare.js';

export interface LeaseOptions {
  bares: BareContainers;
  warm: number;
  rounds: number;
  /** Bare containers in each round. */
  bare: number;
  signal: AbortSignal;
  progress: (doing: string) => void;
}

export interface LeaseTimes {
  leaseMs: number[];
  /** The first tool call, from then on. */
  callMs: number[];
}

export interface LeaseFigures {
  bare: LeaseTimes;
  oneAtATime: LeaseTimes;
  allAtOnce: LeaseTimes;
}

const none = (): LeaseTimes => ({ leaseMs: [], callMs: [] });

export async function measureLeases(options: LeaseOptions): Promise<LeaseFigures> {
  const { bares, warm, rounds, bare, signal, progress } = options;
  const figures = { bare: none(), oneAtATime: none(), allAtOnce: none() };
  // Its budget leaves no room to replace what is leased: the shelf alone is seen.
  const shelf = await Shelf.open({ pool: { min: warm, max: warm }, budget: { containers: warm } });
  try {
    for (let round = 1; round <= rounds; round++) {
      progress(`round ${round} of ${rounds}: ${warm} on the shelf`);
      await shelf.full(warm, signal);
      for (let made = 0; made < bare; made++) await bareOne(bares, figures.bare, signal);
      await leaseAll(shelf, signal, async (one) => {
        for (let taken = 0; taken < warm; taken++) {
          signal.throwIfAborted();
          await one(figures.oneAtATime);
        }
      });
      await shelf.full(warm, signal);
      await leaseAll(shelf, signal, async (one) => {
        await Promise.all(Array.from({ length: warm }, () => one(figures.allAtOnce)));
      });
    }
    return figures;
  } finally {
    await shelf.close();
  }
}

/** `leaseMs` is from create to greeted. */
async function bareOne(bares: BareContainers, to: LeaseTimes, signal: AbortSignal): Promise<void> {
  const before = performance.now();
  const container = await greeted(bares, signal);
  to.leaseMs.push(performance.now() - before);
  to.callMs.push(await container.call());
  await container.remove();
}

/** What `work` leases goes back at its end. */
async function leaseAll(
  shelf: Shelf,
  signal: AbortSignal,
  work: (one: (to: LeaseTimes) => Promise<void>) => Promise<void>,
): Promise<void> {
  const held: HeldSandbox[] = [];
  const one = async (to: LeaseTimes): Promise<void> => {
    const sandbox = await shelf.lease();
    held.push(sandbox);
    to.leaseMs.push(sandbox.leaseMs);
    to.callMs.push(await sandbox.call());
  };
  await orInterrupted(work(one), signal);
  await Promise.all(held.map((sandbox) => shelf.release(sandbox)));
}
