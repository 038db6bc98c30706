/** Measures what durability costs: store commits against plain XADD, and a turn with and without them. */
import { createClient } from 'redis';
import { parseConfig } from '../../src/shared/config.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startModelServer } from '../../test/helpers/model-server.js';
import { startRedis } from '../../test/helpers/redis.js';
import { connect, type TestClient } from '../../test/helpers/ws-client.js';
import { openStore } from '../../workers/agent/store/open.js';
import type { Store } from '../../workers/agent/store/store.js';
import { median, percentile } from '../shared/figures.js';
import { inParallel, Parts, timed } from '../shared/work.js';
import type { Bench, BenchContext, Findings, Table } from '../suite/bench.js';

/** A turn of text writes two steps of two events. */
const EVENTS_A_STEP = 2;
const WARM_UP_TURNS = 50;
/** Commits must reach half the rate of XADD. */
const AIM = 0.5;

const SHORT = { rounds: 3, eventsPerSession: 40, sessions: 200, turns: 150 };
const FULL = { rounds: 8, eventsPerSession: 100, sessions: 200, turns: 600 };

export const bench: Bench = {
  name: 'durability',
  question: 'What does it cost that every event is stored before a client sees it?',
  run: async (context) => {
    const sizes = context.full ? FULL : SHORT;
    const parts = new Parts();
    try {
      const args = ['--appendonly', 'yes', '--appendfsync', 'everysec'];
      const redis = await parts.open(startRedis({ args }), (server) => server.stop());
      const rates = await measureRates(redis.url, sizes, parts, context);
      const turns = await measureTurns(redis.url, sizes.turns, parts, context);
      return findingsOf(sizes, rates, turns);
    } finally {
      await parts.close();
    }
  },
};

/** Events a second of each round. */
interface Rates {
  xadd: number[];
  store: number[];
}

/** The same JSON in entries with the same ids, from one thread; both ways in turn. */
async function measureRates(
  url: string,
  { rounds, eventsPerSession, sessions }: typeof SHORT,
  parts: Parts,
  { signal, progress }: BenchContext,
): Promise<Rates> {
  const opening = openStore('redis', parseConfig({}, { REDIS_URL: url }), { owner: 'bench' });
  const store = await parts.open(opening, (opened) => opened.close());
  const plain = await parts.open(createClient({ url, RESP: 3 }).connect(), (client) => client.close());
  const rates: Rates = { xadd: [], store: [] };
  const everySession = (work: (index: number, seq: number) => Promise<unknown>): Promise<number> =>
    timed(() =>
      inParallel(sessions, sessions, async (index) => {
        for (let seq = 1; seq <= eventsPerSession; seq += EVENTS_A_STEP) await work(index, seq);
      }),
    );
  for (let round = 0; round <= rounds; round++) {
    signal.throwIfAborted();
    progress(`events a second: round ${round} of ${rounds}`, (0.6 * round) / rounds);
    const xaddMs = await everySession((index, seq) => {
      const add = (at: number): Promise<unknown> =>
        plain.sendCommand(['XADD', `plain:${round}:${index}`, `${at}-0`, 't', String(Date.now()), 'e', json(at)]);
      return Promise.all([add(seq), add(seq + 1)]);
    });
    const nameOf = (index: number): string => `bench-${round}-${index}`;
    await inParallel(sessions, sessions, (index) => createSession(store, nameOf(index)));
    const storeMs = await everySession((index, seq) => {
      const events = [seq, seq + 1].map((at) => ({ seq: at, json: json(at) }));
      return store.commit(nameOf(index), { events });
    });
    if (round === 0) continue; // warms up both
    rates.xadd.push((eventsPerSession * sessions * 1_000) / xaddMs);
    rates.store.push((eventsPerSession * sessions * 1_000) / storeMs);
  }
  return rates;
}

function json(seq: number): string {
  return JSON.stringify({ type: 'text', seq, turn: 1, block: 0, text: 'Hello from the stand-in model. '.repeat(4) });
}

async function createSession(store: Store, session: string): Promise<void> {
  const now = Date.now();
  const row = { session, user: 'u', model: 'm', title: '', createdAt: now, lastActiveAt: now, owner: 'bench' };
  await store.createSession({ ...row, seq: 0, turns: 0, openTurns: [], allowed: [], context: null });
}

/** ms of each turn, on a server that stores its steps and on one that does not. */
interface TurnTimes {
  stored: number[];
  unstored: number[];
}

async function measureTurns(
  redisUrl: string,
  turns: number,
  parts: Parts,
  { signal, progress }: BenchContext,
): Promise<TurnTimes> {
  progress('turns: starting servers', 0.6);
  const model = await parts.open(startModelServer({ keep: 0 }), (server) => server.close());
  const start = (preload: Record<string, string>): Promise<Engine> =>
    startEngine({
      config: { agents: { threads: 1, spare: false }, sandbox: { driver: 'process' } },
      env: { REDIS_URL: redisUrl, DOCKER_HOST: '', ANTHROPIC_API_KEY: 'b', ANTHROPIC_BASE_URL: model.url, ...preload },
    });
  const client = async (preload: Record<string, string>): Promise<TestClient> => {
    const engine = await parts.open(start(preload), (server) => server.stop());
    return parts.open(connect(engine.wsUrl), (opened) => opened.close());
  };
  const storing = await client({});
  const forgetting = await client({
    NODE_OPTIONS: `--import=${new URL('no-log-preload.js', import.meta.url).href}`,
  });
  const times: TurnTimes = { stored: [], unstored: [] };
  for (let turn = -WARM_UP_TURNS; turn < turns; turn++) {
    signal.throwIfAborted();
    progress('turns, with and without the store', 0.7 + (0.3 * Math.max(0, turn)) / turns);
    const [stored, unstored] = [await takeTurn(storing), await takeTurn(forgetting)];
    if (turn < 0) continue;
    times.stored.push(stored);
    times.unstored.push(unstored);
  }
  return times;
}

async function takeTurn(client: TestClient): Promise<number> {
  const ms = await timed(() => client.ask('hello'));
  client.send({ type: 'history:reset' });
  await client.waitFor('history:cleared');
  return ms;
}

function findingsOf(sizes: typeof SHORT, rates: Rates, { stored, unstored }: TurnTimes): Findings {
  const rate = { xadd: median(rates.xadd), store: median(rates.store) };
  const added = (p: number): number => percentile(stored, p) - percentile(unstored, p);
  const tables: Table[] = [
    {
      title: `Events a second from one thread, ${sizes.sessions} sessions at once, ${EVENTS_A_STEP} events a step`,
      head: ['', 'events/s', 'relative to XADD'],
      rows: [
        ['XADD alone, pipelined', rate.xadd, 1],
        ['steps committed to the store', rate.store, rate.store / rate.xadd],
      ],
    },
    {
      title: 'A turn of text, from the message to turn:end',
      head: ['', 'p50 ms', 'p99 ms'],
      rows: [
        ['steps not stored', percentile(unstored, 50), percentile(unstored, 99)],
        ['steps stored', percentile(stored, 50), percentile(stored, 99)],
        ['added', added(50), added(99)],
      ],
    },
  ];
  return {
    settings: { ...sizes, appendfsync: 'everysec' },
    ratios: [
      {
        id: 'commit-rate',
        name: 'Stored events per second, relative to plain XADD',
        value: rate.store / rate.xadd,
        unit: '×',
        better: 'higher',
        aim: AIM,
      },
      {
        id: 'turn-added-p50',
        name: 'Time that storing adds to a turn, p50',
        value: added(50),
        unit: 'ms',
        better: 'lower',
      },
    ],
    tables,
    plots: [],
    doubts: [],
  };
}
