/** The bench `pool`: leases from the warm pool, its refill, bursts of users, and a tool call, each compared with dockerode alone. */
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { BareContainers } from '../shared/bare-container.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { measureBursts, type Burst, type BurstPlan } from './burst.js';
import { findingsOf } from './findings.js';
import { measureLeases } from './lease.js';
import { bareLoop, measureRefill } from './refill.js';
import { measureToolCalls } from './tool-call.js';
import { benchConfig } from '../shared/work.js';

/** As many as sandbox.pool.maxStarting is where there are many cores. */
const AT_ONCE = 4;

interface Sizes {
  lease: { warm: number; rounds: number; bare: number };
  refill: { containers: number; rounds: number };
  bursts: BurstPlan[];
  burstRounds: number;
  calls: number;
}

const SHORT: Sizes = {
  lease: { warm: 20, rounds: 3, bare: 3 },
  refill: { containers: 10, rounds: 4 },
  bursts: [
    { people: 10, warm: [0, 10] },
    { people: 60, warm: [10] },
  ],
  burstRounds: 1,
  calls: 100,
};

const FULL: Sizes = {
  lease: { warm: 50, rounds: 4, bare: 10 },
  refill: { containers: 20, rounds: 6 },
  bursts: [
    { people: 10, warm: [0, 10] },
    { people: 60, warm: [0, 10, 60] },
    { people: 200, warm: [10, 60, 200] },
  ],
  burstRounds: 2,
  calls: 400,
};

async function run({ full, signal, progress }: BenchContext): Promise<Findings> {
  const { lease, refill, bursts: plans, burstRounds, calls } = full ? FULL : SHORT;
  const bares = new BareContainers(benchConfig(tmpdir(), {}), `bench-${randomUUID()}`);
  const step = (words: string, share: number) => (doing: string) => progress(`${words}: ${doing}`, share);
  try {
    progress('warming up the daemon', 0);
    await bareLoop({ bares, containers: AT_ONCE, atOnce: AT_ONCE, rounds: 1, signal, progress });
    const leases = await measureLeases({ bares, ...lease, signal, progress: step('lease', 0.05) });
    const toolCalls = await measureToolCalls({ bares, calls, signal, progress: step('tool call', 0.3) });
    const refilled = await measureRefill({ bares, ...refill, atOnce: AT_ONCE, signal, progress: step('refill', 0.4) });
    const bursts: Burst[] = [];
    for (const plan of plans) {
      const share = 0.5 + (0.5 * plans.indexOf(plan)) / plans.length;
      bursts.push(
        ...(await measureBursts({ bares, plan, rounds: burstRounds, signal, progress: step('burst', share) })),
      );
    }
    const settings = {
      warm: lease.warm,
      rounds: lease.rounds,
      refilled: refill.containers,
      refillRounds: refill.rounds,
      maxStarting: AT_ONCE,
      burstRounds,
      calls,
      bursts: plans.map(({ people, warm }) => `${people} on ${warm.join('/')}`).join(', '),
    };
    const { warm } = lease;
    const { containers } = refill;
    return findingsOf({ settings, warm, containers, leases, refill: refilled, bursts, toolCalls });
  } finally {
    await bares.removeAll();
  }
}

export const bench: Bench = {
  name: 'pool',
  question:
    'How fast does a session get its sandbox, alone and when many come at once, and what does a tool call cost?',
  run,
};
