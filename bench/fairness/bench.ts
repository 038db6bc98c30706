/** The bench `fairness`: what one user with 200 queued messages costs twenty others with one each, where the model is short. */
import { setTimeout as delay } from 'node:timers/promises';
import { hashToken } from '../../src/shared/token-file.js';
import { dockerHost } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startModelServer, text } from '../../test/helpers/model-server.js';
import { startRedis } from '../../test/helpers/redis.js';
import { connect, type TestClient } from '../../test/helpers/ws-client.js';
import { percentile } from '../shared/figures.js';
import { orInterrupted, Parts } from '../shared/work.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';

const QUIET = Array.from({ length: 20 }, (_, index) => `quiet-${index + 1}`);
const LOUD = 'loud';
const SESSIONS = 40;
const MESSAGES = 5;
/** Requests to the model at once, and how long one takes. */
const AT_ONCE = 4;
const ANSWER_MS = 250;
const TURN_MS = 300_000;
const AIM = 2;

interface Measured {
  alone: number[];
  beside: number[];
  /** Messages of the loud user that waited when the others sent theirs. */
  queued: number[];
}

export const bench: Bench = {
  name: 'fairness',
  question: 'What does one user with 200 queued messages cost twenty others with one each?',
  run: async (context) => {
    const parts = new Parts();
    const rounds = context.full ? 10 : 3;
    try {
      context.progress('starting the server', 0);
      const engine = await openWorld(parts);
      return findingsOf(rounds, await orInterrupted(measure(engine, rounds, parts, context), context.signal));
    } finally {
      context.progress('cleaning up');
      await parts.close();
    }
  },
};

async function openWorld(parts: Parts): Promise<Engine> {
  const redis = await parts.open(startRedis(), (server) => server.stop());
  const model = await parts.open(startModelServer({ keep: 0, script: answerLater }), (server) => server.close());
  const starting = startEngine({
    config: {
      auth: { tokens: [LOUD, ...QUIET].map((user) => ({ user, sha256: hashToken(tokenOf(user)) })) },
      agents: { threads: 2 },
      quotas: { default: { maxTurns: 0 } },
      limits: { maxModelCalls: AT_ONCE, maxSocketsPerUser: 1_000 },
      sandbox: { driver: 'docker', pool: { min: 0 } },
    },
    env: {
      REDIS_URL: redis.url,
      DOCKER_HOST: dockerHost(),
      ANTHROPIC_API_KEY: 'bench',
      ANTHROPIC_BASE_URL: model.url,
    },
  });
  return parts.open(starting, (server) => server.stop());
}

async function answerLater(): Promise<ReturnType<typeof text>> {
  await delay(ANSWER_MS);
  return text('done');
}

function tokenOf(user: string): string {
  return `the-token-of-${user}`;
}

async function measure(
  engine: Engine,
  rounds: number,
  parts: Parts,
  { signal, progress }: BenchContext,
): Promise<Measured> {
  const join = (user: string): Promise<TestClient> =>
    parts.open(connect(engine.wsUrl, { token: tokenOf(user) }), (client) => client.close());
  const quiet = await Promise.all(QUIET.map(join));
  const loud = await Promise.all(Array.from({ length: SESSIONS }, () => join(LOUD)));
  progress('warming up');
  await Promise.all([...quiet, ...loud].map((client) => client.ask('hello', { timeoutMs: TURN_MS })));
  const measured: Measured = { alone: [], beside: [], queued: [] };
  for (let round = 0; round < rounds; round++) {
    signal.throwIfAborted();
    progress('twenty alone', round / rounds);
    measured.alone.push(...(await oneEach(quiet)));
    progress('twenty beside one with 200 messages', (round + 0.3) / rounds);
    let open = SESSIONS * MESSAGES;
    const drained = loud.map((client) => askAll(client, () => open--));
    await Promise.all(loud.map((client) => client.waitFor('message:accepted')));
    measured.queued.push(open);
    measured.beside.push(...(await oneEach(quiet)));
    await Promise.all(drained);
  }
  return measured;
}

/** Resolves with the ms from each one's message to its turn's end. */
async function oneEach(clients: readonly TestClient[]): Promise<number[]> {
  return Promise.all(
    clients.map(async (client) => {
      const began = performance.now();
      await client.ask('one', { timeoutMs: TURN_MS });
      return performance.now() - began;
    }),
  );
}

async function askAll(client: TestClient, onEnd: () => void): Promise<void> {
  for (let message = 0; message < MESSAGES; message++) client.say('many');
  for (let message = 0; message < MESSAGES; message++) {
    await client.waitFor('turn:end', { timeoutMs: TURN_MS });
    onEnd();
  }
}

function findingsOf(rounds: number, { alone, beside, queued }: Measured): Findings {
  const fewest = Math.min(...queued);
  return {
    settings: {
      rounds,
      quietUsers: QUIET.length,
      loudMessages: SESSIONS * MESSAGES,
      loudSessions: SESSIONS,
      maxModelCalls: AT_ONCE,
      answerMs: ANSWER_MS,
      agentThreads: 2,
    },
    ratios: [
      {
        id: 'quiet-beside-loud',
        name: 'Turn of twenty users with one message each beside one with 200, p95, relative to alone',
        value: percentile(beside, 95) / percentile(alone, 95),
        unit: '×',
        better: 'lower',
        aim: AIM,
      },
    ],
    tables: [
      {
        title: 'Turns of the twenty, ms from the message to the turn’s end',
        head: ['', 'p50', 'p95', 'most', 'turns'],
        rows: [
          ['alone', ...figuresOf(alone)],
          ['beside one with 200 messages', ...figuresOf(beside)],
        ],
      },
    ],
    plots: [],
    doubts: fewest < 100 ? [`only ${fewest} messages of the loud user waited when the others sent theirs`] : [],
  };
}

function figuresOf(ms: readonly number[]): number[] {
  return [percentile(ms, 50), percentile(ms, 95), Math.max(...ms), ms.length];
}
