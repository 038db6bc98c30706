/**
 * Measures an upgrade under people who talk: turns that are lost, and how long nothing answers each of them. The same as the unit does it:
 * SIGTERM, the end of the one process, the start of the next with the same port, store and data.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { randomFrom } from '../../test/chaos/random.js';
import { dockerHost } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startRedis } from '../../test/helpers/redis.js';
import { until } from '../../test/helpers/until.js';
import { percentile } from '../shared/figures.js';
import { orInterrupted, Parts } from '../shared/work.js';
import { startModelProcess } from '../soak/model-process.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { Person } from './person.js';

const SHORT = { people: 100, upgrades: 2 };
const FULL = { people: 500, upgrades: 5 };
type Sizes = typeof SHORT;

const FIRST_PORT = 21_000;
/** An answer takes two seconds. */
const TOKENS = 20;
const GAP_MS = 100;
const ANSWER = 'token '.repeat(TOKENS).trimEnd();
const THINK_MS = 2_000;
/** People talk so long before each upgrade, and after the last one. */
const CALM_MS = 6_000;
const REST_MS = 120_000;
const SEED = 20_261_130;
/** Above this share of a processor the people's own process may be what is late. */
const BUSY = 0.8;

export const bench: Bench = {
  name: 'upgrade',
  question: 'What do people who talk lose by an upgrade, and how long does nothing answer them?',
  run: async (context) => {
    const sizes = { ...(context.full ? FULL : SHORT), ...(context.people && { people: context.people }) };
    const parts = new Parts();
    try {
      return await measure(sizes, parts, context);
    } finally {
      await parts.close();
    }
  },
};

interface Measured {
  /** Of each person and upgrade, ms. */
  away: number[];
  /** Of each upgrade, ms: from SIGTERM to the end, from there until it listens, and until it is ready. */
  drain: number[];
  start: number[];
  ready: number[];
}

async function measure(sizes: Sizes, parts: Parts, { signal, progress }: BenchContext): Promise<Findings> {
  progress('starting a server', 0);
  const redis = await parts.open(startRedis(), (server) => server.stop());
  const model = await parts.open(startModelProcess(TOKENS, GAP_MS), (server) => server.stop());
  const engine = await parts.open(start(sizes, redis.url, model.url), (server) => server.stop());
  const people = await parts.open(Promise.resolve<Person[]>([]), async (all) => all.forEach((each) => each.leave()));
  await orInterrupted(gather(people, sizes, engine, progress), signal);
  const measured: Measured = { away: [], drain: [], start: [], ready: [] };
  const busyBefore = performance.eventLoopUtilization();
  for (let upgrade = 1; upgrade <= sizes.upgrades; upgrade++) {
    progress(`upgrade ${upgrade} of ${sizes.upgrades}`, 0.2 + (0.7 * (upgrade - 1)) / sizes.upgrades);
    await delay(CALM_MS, undefined, { signal });
    for (const person of people) person.takeLongestMs();
    await orInterrupted(upgradeOnce(engine, measured), signal);
    const turns = people.map(({ talk }) => talk.whole);
    const spoken = (): boolean => people.every(({ talk, error }, at) => error || talk.whole > turns[at]! + 1);
    // A person who gets no answer counts as a lost turn below.
    await orInterrupted(
      until('everybody talks again', spoken, { timeoutMs: REST_MS }).catch(() => undefined),
      signal,
    );
    measured.away.push(...people.map((person) => person.takeLongestMs()));
  }
  const busy = performance.eventLoopUtilization(busyBefore).utilization;
  progress('the last answers', 0.9);
  for (const person of people) person.endTalk();
  const rest = (): boolean => people.every((person) => person.atRest || person.error !== undefined);
  await orInterrupted(
    until('all have their answers', rest, { timeoutMs: REST_MS }).catch(() => undefined),
    signal,
  );
  for (const person of people) person.leave();
  return findingsOf(sizes, measured, people, busy);
}

/** They come one after the other, and each begins to talk. */
async function gather(
  people: Person[],
  sizes: Sizes,
  { wsUrl }: Engine,
  progress: BenchContext['progress'],
): Promise<void> {
  progress(`${sizes.people} people come`, 0.1);
  const random = randomFrom(SEED);
  for (let person = 0; person < sizes.people; person++) {
    people.push(new Person({ ws: wsUrl, token: tokenOf(person), thinkMs: () => random() * THINK_MS, answer: ANSWER }));
    await delay(THINK_MS / sizes.people);
  }
  await until('everybody talks', () => people.every(({ talk }) => talk.whole > 0), { timeoutMs: REST_MS });
}

/** As `systemctl restart` does it. */
async function upgradeOnce(engine: Engine, { drain, start, ready }: Measured): Promise<void> {
  const times = [performance.now()];
  engine.signal('SIGTERM');
  const { code, signal } = await engine.exited;
  if (code !== 0) throw new Error(`the old server ended with ${code ?? signal}`);
  times.push(performance.now());
  await engine.start();
  times.push(performance.now());
  await engine.waitForReadiness(200);
  times.push(performance.now());
  for (const [index, list] of [drain, start, ready].entries()) list.push(times[index + 1]! - times[index]!);
}

/**
 * Below the ports that the kernel gives to those who connect: somebody who knocks at one of these while nobody listens may be given the
 * same for himself, is connected to himself, and the new server finds its port in use.
 */
async function portOfService(): Promise<number> {
  for (let port = FIRST_PORT; port < FIRST_PORT + 1_000; port++) {
    const server = createServer().listen(port, '127.0.0.1');
    const free = await once(server, 'listening').then(
      () => true,
      () => false, // it is somebody's
    );
    server.close();
    if (free) return port;
  }
  throw new Error(`no port from ${FIRST_PORT} on is free`);
}

function tokenOf(person: number): string {
  return `token-of-person-${person}`;
}

async function start({ people }: Sizes, redisUrl: string, modelUrl: string): Promise<Engine> {
  const tokens = Array.from({ length: people }, (_, person) => ({
    user: `person-${person}`,
    sha256: createHash('sha256').update(tokenOf(person)).digest('hex'),
  }));
  return startEngine({
    config: {
      listen: { port: await portOfService() },
      auth: { tokens },
      sandbox: { driver: 'docker', pool: { min: 0 } },
    },
    env: {
      REDIS_URL: redisUrl,
      DOCKER_HOST: dockerHost(),
      ANTHROPIC_API_KEY: 'bench',
      ANTHROPIC_BASE_URL: modelUrl,
    },
  });
}

function findingsOf(sizes: Sizes, measured: Measured, people: readonly Person[], busy: number): Findings {
  const turns = people.reduce((sum, { talk }) => sum + talk.turns, 0);
  const faults = people.flatMap(({ talk }) => talk.faults);
  const seconds = measured.away.map((ms) => ms / 1_000);
  return {
    settings: { ...sizes, tokens: TOKENS, gapMs: GAP_MS, thinkMs: THINK_MS, turns, seed: SEED },
    ratios: [
      {
        id: 'upgrade-lost-turns',
        name: 'Turns and messages lost by an upgrade',
        value: faults.length,
        unit: 'turns',
        better: 'lower',
        aim: 0,
      },
      away('p50', percentile(seconds, 50)),
      away('p99', percentile(seconds, 99)),
    ],
    tables: [
      {
        title: 'An upgrade',
        head: ['', 'p50 s', 'p99 s', 'max s'],
        rows: [
          row('nothing answers a person', seconds),
          row('from SIGTERM to the end of the old server', inSeconds(measured.drain)),
          row('from there until the new one listens', inSeconds(measured.start)),
          row('from there until it is ready', inSeconds(measured.ready)),
        ],
      },
    ],
    plots: [],
    doubts: [
      ...faults.slice(0, 5).map((fault) => `lost: ${fault}`),
      ...(busy > BUSY ? [`the people’s process was busy for ${Math.round(100 * busy)} % of the time`] : []),
    ],
  };
}

function away(which: 'p50' | 'p99', value: number): Findings['ratios'][number] {
  const name = `Time in which nothing answers a person during an upgrade, ${which}`;
  return { id: `upgrade-away-${which}`, name, value, unit: 's', better: 'lower' };
}

function inSeconds(times: readonly number[]): number[] {
  return times.map((ms) => ms / 1_000);
}

function row(name: string, times: readonly number[]): (string | number)[] {
  return [name, ...[50, 99, 100].map((p) => percentile(times, p))];
}
