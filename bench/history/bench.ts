/** The bench `history`: the cost of a transcript's lz4 blocks in Redis as it grows, compared with other ways of storing it. */
import { startRedis } from '../../test/helpers/redis.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { fairleadWay } from './fairlead-way.js';
import { plotsOf, ratiosOf, tablesOf } from './findings.js';
import { likeness } from './likeness.js';
import { measureAll, type ByLength, type Length } from './measure.js';
import { otherWays } from './other-ways.js';
import { Random } from './random.js';
import { connectRedis, type RedisClient } from './redis-server.js';
import { makeSession } from './transcript.js';
import type { Way } from './way.js';
import { orInterrupted } from '../shared/work.js';

const SEED = 20_261_128;
/** The fewest sessions in which the appended turns add less than a tenth. */
const SHORT: readonly Length[] = [
  { turns: 10, sessions: 80 },
  { turns: 100, sessions: 8 },
  { turns: 1_000, sessions: 1 },
];
const FULL: readonly Length[] = [...SHORT, { turns: 5_000, sessions: 1 }];
const WARM_UP: Length = { turns: 5, sessions: 8 };
const APPENDED_TURNS = 80;
const ROUNDS = 8;
const LOADS = { short: 6, full: 24 };
const FEW_APPENDS = 20;

export const bench: Bench = {
  name: 'history',
  question: 'What does a transcript in lz4 blocks cost as it grows, compared with JSON, gzip and rewriting it?',
  run,
};

async function run(context: BenchContext): Promise<Findings> {
  const redis = await startRedis();
  try {
    const client = await connectRedis(redis.url);
    try {
      return await findOut(redis.url, client, context);
    } finally {
      client.destroy();
    }
  } finally {
    await redis.stop();
  }
}

async function findOut(redisUrl: string, client: RedisClient, context: BenchContext): Promise<Findings> {
  const ours = await fairleadWay(redisUrl);
  try {
    const found = await orInterrupted(measure(client, [ours, ...otherWays(client)], context), context.signal);
    const text = await likeness(SEED);
    return {
      settings: settingsOf(context.full),
      ratios: ratiosOf(found),
      tables: [...tablesOf(found, ours.sealMs), text.table],
      plots: plotsOf(found),
      doubts: [...doubtsOf(found), ...text.doubts],
    };
  } finally {
    await ours.close();
  }
}

async function measure(client: RedisClient, ways: readonly Way[], context: BenchContext): Promise<ByLength> {
  const { full, signal, progress } = context;
  const turns = makeSession(new Random(SEED), APPENDED_TURNS);
  const shared = { client, turns, rounds: ROUNDS, sessionsOf, signal };
  // Compilation is not part of an append's cost.
  progress('warming up', 0);
  await measureAll(ways, { ...shared, lengths: [WARM_UP], loads: 8, progress: () => undefined });
  return measureAll(ways, {
    ...shared,
    lengths: full ? FULL : SHORT,
    loads: full ? LOADS.full : LOADS.short,
    progress,
  });
}

function sessionsOf({ turns, sessions }: Length) {
  const random = new Random(SEED + turns);
  return Array.from({ length: sessions }, () => makeSession(random.branch(), turns));
}

function settingsOf(full: boolean): Findings['settings'] {
  const lengths = full ? FULL : SHORT;
  return {
    seed: SEED,
    lengths: lengths.map(({ turns, sessions }) => `${sessions} of ${turns} turns`).join(', '),
    appendedTurns: APPENDED_TURNS,
    rounds: ROUNDS,
    loads: full ? LOADS.full : LOADS.short,
    redis: 'no persistence',
  };
}

function doubtsOf(found: ByLength): string[] {
  return [...found].flatMap(([turns, ways]) =>
    [...ways]
      .filter(([, { appendMs }]) => appendMs.length < FEW_APPENDS)
      .map(([way, { appendMs }]) => `«${way}» at ${turns} turns rests on ${appendMs.length} appends`),
  );
}
