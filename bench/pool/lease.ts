/** How long from asking for a sandbox to having one, from a warm pool that is not refilled; compared with a container made for it by dockerode alone. */
import type { BareContainers } from '../shared/bare-container.js';
import { WarmPool, type HeldSandbox } from '../shared/warm-pool.js';
import { withHandshake } from './bare.js';
import { orInterrupted } from '../shared/work.js';

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
  /** The first tool call after the lease. */
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
  // The budget leaves no room to replace what is leased, so refilling does not disturb.
  const warmPool = await WarmPool.open({ pool: { min: warm, max: warm }, budget: { containers: warm } });
  try {
    for (let round = 1; round <= rounds; round++) {
      progress(`round ${round} of ${rounds}: ${warm} warm`);
      await warmPool.full(warm, signal);
      for (let made = 0; made < bare; made++) await bareOne(bares, figures.bare, signal);
      await leaseAll(warmPool, signal, async (one) => {
        for (let taken = 0; taken < warm; taken++) {
          signal.throwIfAborted();
          await one(figures.oneAtATime);
        }
      });
      await warmPool.full(warm, signal);
      await leaseAll(warmPool, signal, async (one) => {
        await Promise.all(Array.from({ length: warm }, () => one(figures.allAtOnce)));
      });
    }
    return figures;
  } finally {
    await warmPool.close();
  }
}

/** `leaseMs` is from the create to the end of the handshake. */
async function bareOne(bares: BareContainers, to: LeaseTimes, signal: AbortSignal): Promise<void> {
  const before = performance.now();
  const container = await withHandshake(bares, signal);
  to.leaseMs.push(performance.now() - before);
  to.callMs.push(await container.call());
  await container.remove();
}

/** Releases at its end what `work` leases. */
async function leaseAll(
  warmPool: WarmPool,
  signal: AbortSignal,
  work: (one: (to: LeaseTimes) => Promise<void>) => Promise<void>,
): Promise<void> {
  const held: HeldSandbox[] = [];
  const one = async (to: LeaseTimes): Promise<void> => {
    const sandbox = await warmPool.lease();
    held.push(sandbox);
    to.leaseMs.push(sandbox.leaseMs);
    to.callMs.push(await sandbox.call());
  };
  await orInterrupted(work(one), signal);
  await Promise.all(held.map((sandbox) => warmPool.release(sandbox)));
}
