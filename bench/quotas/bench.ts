/** Measures what limits of a person cost: a step of the store with and without counts, and the bytes of a user who is counted. */
import { createHash } from 'node:crypto';
import { createClient } from 'redis';
import { parseConfig } from '../../src/shared/config.js';
import { startRedis } from '../../test/helpers/redis.js';
import { openStore } from '../../workers/agent/store/open.js';
import { countingOf } from '../../workers/agent/store/quota-counters.js';
import type { Commit, Store } from '../../workers/agent/store/store.js';
import { RedisBytes } from '../memory/store-bytes.js';
import { median } from '../shared/figures.js';
import { inParallel, Parts, timed } from '../shared/work.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';

const SHORT = { rounds: 5, sessions: 100, turns: 20, alone: 300, users: 10_000, messages: 30 };
const FULL = { ...SHORT, rounds: 15, turns: 50, alone: 1_000 };
/** A step that is counted takes at most so much longer. */
const AIM = 1.25;

/** What a counter beside the store does for each message: one script, in a round trip of its own. */
const SEPARATE = `
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], 60000) end
return count`;
const SEPARATE_SHA = createHash('sha1').update(SEPARATE).digest('hex');

interface Session {
  session: string;
  user: string;
  seq: number;
  turns: number;
}

type Way = (of: Session) => Promise<unknown>;

export const bench: Bench = {
  name: 'quotas',
  question: 'What do limits of a person cost, in a turn and in bytes?',
  run: async (context) => {
    const sizes = context.full ? FULL : SHORT;
    const parts = new Parts();
    try {
      const redis = await parts.open(startRedis(), (server) => server.stop());
      const costs = await measureSteps(redis.url, sizes, parts, context);
      const bytes = await measureBytes(redis.url, sizes, parts, context);
      return findingsOf(sizes, costs, bytes);
    } finally {
      await parts.close();
    }
  },
};

/** ms of a turn's two steps alone, and turns a second of many sessions, by way; one value a round. */
interface Costs {
  names: string[];
  alone: number[][];
  rate: number[][];
}

async function measureSteps(
  url: string,
  { rounds, sessions, turns, alone }: typeof SHORT,
  parts: Parts,
  { signal, progress }: BenchContext,
): Promise<Costs> {
  const limited = parseConfig(
    { quotas: { default: { maxMessagesPerMinute: 10_000, maxHistoryBytes: 1e12 } } },
    { REDIS_URL: url },
  );
  const open = (counted: boolean): Promise<Store> => {
    const counting = counted ? { counting: countingOf(limited) } : {};
    return openStore('redis', limited, { owner: 'bench', ...counting });
  };
  const off = await parts.open(open(false), (store) => store.close());
  const on = await parts.open(open(true), (store) => store.close());
  const beside = await parts.open(createClient({ url, RESP: 3 }).connect(), (client) => client.close());
  await beside.sendCommand(['SCRIPT', 'LOAD', SEPARATE]);
  const ways: [string, Way][] = [
    ['not counted', (of) => takeTurn(off, of, false)],
    ['counted in the step', (of) => takeTurn(on, of, true)],
    [
      'a counter of its own before the step',
      async (of) => {
        await beside.sendCommand(['EVALSHA', SEPARATE_SHA, '1', `beside:${of.user}`]);
        await takeTurn(off, of, false);
      },
    ],
  ];
  const costs: Costs = { names: ways.map(([name]) => name), alone: ways.map(() => []), rate: ways.map(() => []) };
  for (let round = 0; round <= rounds; round++) {
    for (const [index, [, way]] of ways.entries()) {
      signal.throwIfAborted();
      progress(`turns, round ${round} of ${rounds}`, (0.7 * round) / rounds);
      const many = await Promise.all(
        Array.from({ length: sessions }, (_, at) => newSession(off, `${round}-${index}-${at}`)),
      );
      const ms = await timed(() =>
        inParallel(sessions, sessions, async (at) => {
          for (let turn = 0; turn < turns; turn++) await way(many[at]!);
        }),
      );
      const one = await newSession(off, `${round}-${index}-alone`);
      const times: number[] = [];
      for (let turn = 0; turn < alone; turn++) times.push(await timed(() => way(one)));
      if (round === 0) continue; // warms up all
      costs.rate[index]!.push((sessions * turns * 1_000) / ms);
      costs.alone[index]!.push(median(times));
    }
  }
  return costs;
}

/** The two steps of a turn of text. */
async function takeTurn(store: Store, of: Session, counted: boolean): Promise<void> {
  const limits = { maxTurns: 5, maxMessagesPerMinute: 10_000, maxHistoryBytes: 1e12, bytes: 100 };
  const count = { user: of.user, ...(counted && { accepts: limits }) };
  of.turns += 1;
  for (const open of [1, 0]) {
    const commit: Commit = {
      events: [1, 2].map(() => ({ seq: ++of.seq, json: JSON.stringify({ type: 'text', text: 'hello '.repeat(20) }) })),
      messages: [{ role: open === 1 ? 'user' : 'assistant', content: [{ type: 'text', text: 'hello '.repeat(20) }] }],
      row: {
        openTurns: open === 1 ? [{ turn: of.turns }] : [],
        history: { bytes: of.turns * 300 - open * 150, messages: of.turns * 2 - open, clears: 0 },
      },
      ...(counted && { count: open === 1 ? count : { user: of.user } }),
    };
    const result = await store.commit(of.session, commit);
    if (!result.ok) throw new Error(`the step was refused: ${JSON.stringify(result)}`);
  }
}

async function newSession(store: Store, name: string): Promise<Session> {
  const [session, user, now] = [`bench-${name}`, `user-${name}`, Date.now()];
  const row = { session, user, model: 'm', title: '', createdAt: now, lastActiveAt: now, owner: 'bench' };
  await store.createSession({ ...row, seq: 0, turns: 0, openTurns: [], allowed: [], context: null });
  return { session, user, seq: 0, turns: 0 };
}

interface Bytes {
  /** Of Redis, beside the session, for a user who has just sent so many messages and runs a turn; and a minute later. */
  busy: number;
  idle: number;
}

/** The difference between users who are counted and users who are not. */
async function measureBytes(
  url: string,
  { users, messages }: typeof SHORT,
  parts: Parts,
  { signal, progress }: BenchContext,
): Promise<Bytes> {
  const limited = parseConfig(
    { quotas: { default: { maxMessagesPerMinute: messages, maxHistoryBytes: 1e9 } } },
    { REDIS_URL: url },
  );
  const opening = openStore('redis', limited, { owner: 'bench', counting: countingOf(limited) });
  const store = await parts.open(opening, (opened) => opened.close());
  const redis = await parts.open(RedisBytes.open(url), async (client) => client.close());
  const raw = await parts.open(createClient({ url }).connect(), (client) => client.close());
  const grown = async (counted: boolean): Promise<{ empty: number; bytes: number }> => {
    await raw.flushAll();
    const empty = await redis.used();
    await inParallel(users, 100, async (index) => {
      signal.throwIfAborted();
      if (index % 1_000 === 0) progress(`bytes of users: ${index}`, 0.7 + (0.15 * index) / users);
      const { session, user } = await newSession(store, `${index}`);
      const accepts = { maxTurns: 5, maxMessagesPerMinute: messages, maxHistoryBytes: 1e9, bytes: 10 };
      for (let sent = 1; sent <= messages; sent++) {
        const row = { openTurns: [{ turn: sent }], history: { bytes: sent * 100, messages: sent, clears: 0 } };
        await store.commit(session, { events: [], row, ...(counted && { count: { user, accepts } }) });
      }
    });
    return { empty, bytes: (await redis.used()) - empty };
  };
  const plain = await grown(false);
  const counted = await grown(true);
  // As a minute without a message and the end of the turn leave it.
  const keys = await raw.keys('fairlead:quota-*');
  for (let from = 0; from < keys.length; from += 1_000) await raw.del(keys.slice(from, from + 1_000));
  const idle = (await redis.used()) - counted.empty;
  return { busy: (counted.bytes - plain.bytes) / users, idle: Math.max(0, idle - plain.bytes) / users };
}

function findingsOf(sizes: typeof SHORT, { names, alone, rate }: Costs, { busy, idle }: Bytes): Findings {
  const [ms, rates] = [alone.map(median), rate.map(median)];
  const rows = names.map((name, index) => [name, ms[index]!, ms[index]! / ms[0]!, rates[index]!]);
  return {
    settings: sizes,
    ratios: [
      {
        id: 'counted-turn',
        name: 'Time of a turn’s two steps with every count, relative to none',
        value: ms[1]! / ms[0]!,
        unit: '×',
        better: 'lower',
        aim: AIM,
      },
      { id: 'user-bytes', name: 'Redis memory of a user’s counts, idle', value: idle, unit: 'bytes', better: 'lower' },
    ],
    tables: [
      {
        title: 'The two steps of a turn in Redis',
        head: ['', 'p50 ms, alone', 'relative', `turns/s, ${sizes.sessions} sessions`],
        rows,
      },
      {
        title: `Redis memory of a user’s counts, ${sizes.users} users`,
        head: ['', 'bytes'],
        rows: [
          [`${sizes.messages} messages in the last minute, a turn that runs`, busy],
          ['a minute later', idle],
        ],
      },
    ],
    plots: [],
    doubts: [],
  };
}
