/** The bench `attacks`: what one session's attack from inside its sandbox costs the tool calls of its neighbours. */
import { setTimeout as delay } from 'node:timers/promises';
import { hashToken } from '../../src/shared/token-file.js';
import { dockerHost } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startModelServer } from '../../test/helpers/model-server.js';
import { startRedis } from '../../test/helpers/redis.js';
import { percentile } from '../shared/figures.js';
import { orInterrupted, Parts } from '../shared/work.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { asService } from '../suite/service.js';
import { attack, ATTACKER, ATTACKS, type Attack } from './attacks.js';
import { Person, scriptModel, tokenOf } from './person.js';

const NEIGHBOUR = 'neighbour';
const NEIGHBOURS = 4;
const CALL_EVERY_MS = 100;
const WARM_UP_CALLS = 30;
const AIM = 2;
/** A stopped server is found out within this. */
const SILENCE_MS = 3_000;

const SHORT = { rounds: 1, ms: 5_000 };
const FULL = { rounds: 4, ms: 10_000 };
type Form = typeof SHORT;

interface Window {
  ms: number[];
  failed: number;
}

interface Measured {
  attack: Attack;
  alone: Window;
  under: Window;
}

export const bench: Bench = {
  name: 'attacks',
  question: 'What does an attack from inside one sandbox cost the tool calls of its neighbours?',
  run: async (context) => {
    const form = context.full ? FULL : SHORT;
    const parts = new Parts();
    try {
      context.progress('starting the server', 0);
      const { engine, weight } = await openWorld(parts);
      return findingsOf(form, weight, await orInterrupted(measure(engine, form, context), context.signal));
    } finally {
      context.progress('cleaning up');
      await parts.close();
    }
  },
};

async function openWorld(parts: Parts): Promise<{ engine: Engine; weight: number | undefined }> {
  const redis = await parts.open(startRedis(), (server) => server.stop());
  const model = await parts.open(startModelServer({ keep: 0 }), (server) => server.close());
  scriptModel(model);
  const starting = startEngine({
    config: {
      auth: { tokens: [NEIGHBOUR, ATTACKER].map((user) => ({ user, sha256: hashToken(tokenOf(user)) })) },
      agents: { threads: 1 }, // the attacker shares it with all neighbours
      mcp: { silenceMs: SILENCE_MS },
      limits: { maxSocketsPerUser: 1_000 },
      sandbox: { driver: 'docker', pool: { min: 3 } },
      approvals: { default: 'allow' },
    },
    env: {
      REDIS_URL: redis.url,
      DOCKER_HOST: dockerHost(),
      ANTHROPIC_API_KEY: 'bench',
      ANTHROPIC_BASE_URL: model.url,
    },
  });
  const engine = await parts.open(starting, (server) => server.stop());
  const service = await asService(engine.pid, 'server');
  return { engine, weight: service?.weight };
}

async function measure(engine: Engine, { rounds, ms }: Form, { signal, progress }: BenchContext): Promise<Measured[]> {
  const neighbours = await Promise.all(Array.from({ length: NEIGHBOURS }, () => Person.open(engine, NEIGHBOUR)));
  for (let call = 0; call < WARM_UP_CALLS; call++) await Promise.all(neighbours.map((person) => person.run('true')));
  progress('warming up: a thread compiles its code once');
  await callBeside(ATTACKS[0]!, engine, () => callFor(neighbours, ms, empty()));
  const measured = ATTACKS.map((of): Measured => ({ attack: of, alone: empty(), under: empty() }));
  for (let round = 0; round < rounds; round++) {
    for (const [index, { attack: of, alone, under }] of measured.entries()) {
      signal.throwIfAborted();
      progress(of.name, (round + index / measured.length) / rounds);
      await callFor(neighbours, ms, alone);
      await callBeside(of, engine, () => callFor(neighbours, ms, under));
    }
  }
  await Promise.all(neighbours.map((person) => person.delete()));
  return measured;
}

async function callBeside(of: Attack, engine: Engine, calls: () => Promise<void>): Promise<void> {
  const over = new AbortController();
  const attacking = attack(of, engine, over.signal);
  await calls();
  over.abort();
  await attacking;
}

function p99({ ms }: Window): number {
  return percentile(ms, 99);
}

function empty(): Window {
  return { ms: [], failed: 0 };
}

/** Each neighbour calls a tool at a fixed pace, or as fast as the answers come. */
async function callFor(neighbours: readonly Person[], ms: number, window: Window): Promise<void> {
  for (const person of neighbours) person.forget();
  const end = performance.now() + ms;
  await Promise.all(
    neighbours.map(async (person) => {
      while (performance.now() < end) {
        const next = delay(CALL_EVERY_MS);
        const call = await person.run('true');
        window.ms.push(call.ms);
        if (!call.ok) window.failed++;
        await next;
      }
    }),
  );
}

function findingsOf(form: Form, weight: number | undefined, measured: readonly Measured[]): Findings {
  const doubts = [`${form.rounds} windows of ${form.ms} ms for each attack: the p99 is that of few calls`];
  if (weight === undefined) {
    doubts.push('the server had no cgroup with the weight of its systemd unit, so sandboxes took more from it');
  }
  const failed = measured.reduce((sum, { under }) => sum + under.failed, 0);
  if (failed > 0) doubts.push(`${failed} calls of neighbours failed during an attack`);
  return {
    settings: {
      ...form,
      neighbours: NEIGHBOURS,
      callEveryMs: CALL_EVERY_MS,
      agentThreads: 1,
      silenceMs: SILENCE_MS,
      'CPUWeight of the server': weight ?? 'none',
    },
    ratios: measured.map(({ attack: { id, name }, alone, under }) => ({
      id: `neighbours-${id}`,
      name: `Neighbours’ tool call during ${name}, p99, relative to alone`,
      value: p99(under) / p99(alone),
      unit: '×',
      better: 'lower',
      aim: AIM,
    })),
    tables: [
      {
        title: 'Neighbours’ tool calls, ms from the message to the result',
        head: ['during', 'alone p50', 'alone p99', 'attack p50', 'attack p99', 'calls', 'failed'],
        rows: measured.map(({ attack: { name }, alone, under }) => [
          name,
          percentile(alone.ms, 50),
          p99(alone),
          percentile(under.ms, 50),
          p99(under),
          under.ms.length,
          under.failed,
        ]),
      },
    ],
    plots: [],
    doubts,
  };
}
