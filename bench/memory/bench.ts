/** The bench `memory`: the cost of a session in each of its states, in the server, the store and the kernel; and of a deep history. */
import { startModelServer } from '../../test/helpers/model-server.js';
import { startRedis } from '../../test/helpers/redis.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { depthCosts, type Depth } from './depth.js';
import { findingsOf } from './findings.js';
import { sandboxCosts } from './sandboxes.js';
import { script } from './script.js';
import { sessionStates } from './states.js';

interface Sizes {
  /** Sessions attached: with Redis, and with the embedded store. */
  attached: number;
  attachedLmdb: number;
  /** Sessions in a turn, and as many that wait for approval. */
  busy: number;
  containers: number;
  depths: Depth[];
}

const SHORT: Sizes = {
  attached: 4_000,
  attachedLmdb: 1_000,
  busy: 300,
  containers: 6,
  depths: [
    { turns: 10, sessions: 40 },
    { turns: 100, sessions: 10 },
  ],
};

const FULL: Sizes = {
  attached: 8_000,
  attachedLmdb: 4_000,
  busy: 1_000,
  containers: 20,
  depths: [
    { turns: 10, sessions: 200 },
    { turns: 100, sessions: 50 },
    { turns: 1_000, sessions: 10 },
  ],
};

async function run({ full, signal, progress }: BenchContext): Promise<Findings> {
  const sizes = full ? FULL : SHORT;
  const { attached, attachedLmdb, busy, containers, depths } = sizes;
  const opened: (() => Promise<unknown>)[] = [];
  try {
    const redis = await startRedis();
    opened.push(() => redis.stop());
    const model = await startModelServer({ script, keep: 0 });
    opened.push(() => model.close());
    const step = (words: string, from: number) => (doing: string) => progress(`${words}: ${doing}`, from);
    const withRedis = await sessionStates({
      redisUrl: redis.url,
      model,
      attached,
      busy,
      signal,
      progress: step('Redis', 0.05),
    });
    const withLmdb = await sessionStates({
      redisUrl: '',
      model,
      attached: attachedLmdb,
      busy,
      signal,
      progress: step('embedded store', 0.35),
    });
    const deep = await depthCosts({ redisUrl: redis.url, model, depths, signal, progress: step('history', 0.55) });
    const sandboxes = await sandboxCosts({ model, containers, signal, progress: step('sandboxes', 0.8) });
    if (model.violations.length > 0) throw new Error(`the model was sent what it refuses: ${model.violations[0]}`);
    return findingsOf({ ...sizes, withRedis, withLmdb, deep, sandboxes });
  } finally {
    for (const close of opened.toReversed()) await close();
  }
}

export const bench: Bench = {
  name: 'memory',
  question: 'What does a session cost in memory, in each of its states, and what does a deep history cost?',
  run,
};
