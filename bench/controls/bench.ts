/** The bench `controls`: processor time of a turn with limits, budgets, prices and the audit log on, relative to all of them off. */
import { dockerHost } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startRedis } from '../../test/helpers/redis.js';
import { connect, type TestClient } from '../../test/helpers/ws-client.js';
import { percentile } from '../shared/figures.js';
import { orInterrupted, Parts } from '../shared/work.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { processTime } from '../turns/cpu.js';
import { Model } from '../turns/model.js';
import type { Pace } from '../turns/script.js';

const PEOPLE = 40;
const AIM = 1.05;
const TURN_MS = 60_000;
/** A short answer: what is counted is counted once a turn, so that a longer one hides it. */
const PACE: Pace = {
  thinkMs: 0,
  modelDelayMs: 100,
  tokens: 20,
  gapMs: 10,
  approveMs: 0,
  turnsPerSession: 0,
  turnTimeoutMs: TURN_MS,
};
const ALL = 1_000_000_000;
const WAYS = {
  off: { audit: { enabled: false }, quotas: { default: { maxTurns: 0 } } },
  on: {
    audit: { enabled: true },
    quotas: {
      default: {
        maxSessions: 1_000,
        maxSockets: 1_000,
        maxMessagesPerMinute: 10_000,
        maxTurns: 1_000,
        maxHistoryBytes: ALL,
      },
    },
    prices: { currency: 'USD', models: [{ model: '*', input: 3, output: 15, cacheWrite: 3.75, cacheRead: 0.3 }] },
    budgets: [
      { of: 'user', per: 'day', amount: 1_000_000 },
      { of: 'user', per: 'month', tokens: ALL * 1_000 },
      { of: 'turn', per: 'turn', tokens: ALL },
    ],
  },
};
type Way = keyof typeof WAYS;

interface Side {
  way: Way;
  engine: Engine;
  clients: TestClient[];
  /** Of each stretch, processor ms a turn. */
  costs: number[];
  cpuMs: number;
  turns: number;
}

export const bench: Bench = {
  name: 'controls',
  question: 'What do limits, budgets and the audit log cost a turn?',
  run: async (context) => {
    const parts = new Parts();
    const form = context.full ? { pairs: 30, ms: 5_000, warmMs: 15_000 } : { pairs: 8, ms: 3_000, warmMs: 6_000 };
    try {
      context.progress('starting the servers', 0);
      const model = await parts.open(Model.start(PACE), (process) => process.stop());
      const off = await openSide('off', model.url, parts);
      const on = await openSide('on', model.url, parts);
      await orInterrupted(measure({ off, on }, form, context), context.signal);
      return findingsOf(off, on, form);
    } finally {
      context.progress('cleaning up');
      await parts.close();
    }
  },
};

async function openSide(way: Way, modelUrl: string, parts: Parts): Promise<Side> {
  const redis = await parts.open(startRedis(), (server) => server.stop());
  const starting = startEngine({
    config: {
      agents: { threads: 1 },
      limits: { maxSocketsPerUser: 1_000 },
      sandbox: { driver: 'docker', pool: { min: 0 } },
      ...WAYS[way],
    },
    env: {
      REDIS_URL: redis.url,
      DOCKER_HOST: dockerHost(),
      ANTHROPIC_API_KEY: 'bench',
      ANTHROPIC_BASE_URL: modelUrl,
    },
  });
  const engine = await parts.open(starting, (server) => server.stop());
  const clients = await Promise.all(
    Array.from({ length: PEOPLE }, () => parts.open(connect(engine.wsUrl), (client) => client.close())),
  );
  return { way, engine, clients, costs: [], cpuMs: 0, turns: 0 };
}

/** In turns, the first of a pair changing, so that a machine that gets slower costs both the same. */
async function measure(
  { off, on }: Record<Way, Side>,
  { pairs, ms, warmMs }: { pairs: number; ms: number; warmMs: number },
  { signal, progress }: BenchContext,
): Promise<void> {
  progress('warming up');
  for (const side of [off, on, off, on]) await talk(side, warmMs, signal);
  for (let pair = 0; pair < pairs; pair++) {
    progress('talking', pair / pairs);
    for (const side of pair % 2 === 0 ? [off, on] : [on, off]) {
      const before = (await processTime(side.engine.pid)).cpuMs;
      const turns = await talk(side, ms, signal);
      const spent = (await processTime(side.engine.pid)).cpuMs - before;
      side.costs.push(spent / turns);
      side.cpuMs += spent;
      side.turns += turns;
    }
  }
}

/** Resolves with the number of turns, when the last of them has ended. */
async function talk({ clients }: Side, ms: number, signal: AbortSignal): Promise<number> {
  const until = performance.now() + ms;
  let turns = 0;
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < until) {
        signal.throwIfAborted();
        await client.ask('talk: go on', { timeoutMs: TURN_MS });
        turns++;
      }
    }),
  );
  return turns;
}

function findingsOf(off: Side, on: Side, form: Record<string, number>): Findings {
  const ofPairs = on.costs.map((cost, index) => cost / off.costs[index]!);
  return {
    settings: { ...form, people: PEOPLE, modelDelayMs: PACE.modelDelayMs, tokens: PACE.tokens, gapMs: PACE.gapMs },
    ratios: [
      {
        id: 'turn-cpu',
        name: 'Processor time of a turn with limits, budgets and audit on, relative to off',
        value: percentile(ofPairs, 50),
        unit: '×',
        better: 'lower',
        aim: AIM,
      },
    ],
    tables: [
      {
        title: 'Processor time of a turn, ms',
        head: ['', 'p50 of the stretches', 'all', 'turns'],
        rows: [off, on].map(({ way, costs, cpuMs, turns }) => [way, percentile(costs, 50), cpuMs / turns, turns]),
      },
    ],
    plots: [],
    doubts: [],
  };
}
