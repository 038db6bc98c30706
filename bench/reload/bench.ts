/** Measures a reload of the configuration under connected people: who is disconnected, and how long each thread's event loop stands still. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { dockerHost } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { fetchMetrics } from '../../test/helpers/metrics.js';
import { startRedis } from '../../test/helpers/redis.js';
import { Load, type LoadGroup } from '../load/load.js';
import { percentile } from '../shared/figures.js';
import { Parts } from '../shared/work.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';

/** The file names all people; those of a group of the load share a token, since the load has room for 32 groups. */
const SHORT = { people: 500, reloads: 6 };
const FULL = { people: 2_000, reloads: 40 };
const GROUPS = 20;
const RULES = 100;
const AIM_MS = 50;
/** Between two reloads, so that each is measured alone. */
const REST_MS = 250;

export const bench: Bench = {
  name: 'reload',
  question: 'What do people notice when the configuration is read again?',
  run: async (context) => {
    const sizes = context.full ? FULL : SHORT;
    const parts = new Parts();
    try {
      return await measure(sizes, parts, context);
    } finally {
      await parts.close();
    }
  },
};

interface Measured {
  /** ms from the request to the answer. */
  reload: number[];
  /** Worst event-loop delay of each reload, ms, by thread: `main`, or the worst agent thread. */
  main: number[];
  agents: number[];
  /** p99 of the main thread's delay in the time of each reload. */
  mainP99: number[];
}

async function measure(sizes: typeof SHORT, parts: Parts, { signal, progress }: BenchContext): Promise<Findings> {
  progress('starting a server', 0);
  const redis = await parts.open(startRedis(), (server) => server.stop());
  const load = new Load();
  await parts.open(Promise.resolve(load), () => load.end());
  const engine = await parts.open(start(redis.url, sizes.people), (server) => server.stop());
  const groups = await attachAll(load, engine, sizes.people, progress);
  const measured: Measured = { reload: [], main: [], agents: [], mainP99: [] };
  for (let number = 0; number < sizes.reloads; number++) {
    signal.throwIfAborted();
    progress('reloading', 0.6 + (0.4 * number) / sizes.reloads);
    await reloadOnce(engine, number, measured);
  }
  const lost = groups.reduce((sum, { counts }) => sum + counts.closed, 0);
  return findingsOf(sizes, measured, lost);
}

function tokenOf(person: number): string {
  return `token-of-person-${person}`;
}

function start(redisUrl: string, people: number): Promise<Engine> {
  const tokens = Array.from({ length: people }, (_, person) => ({
    user: `person-${person}`,
    sha256: createHash('sha256').update(tokenOf(person)).digest('hex'),
    role: person === 0 ? 'admin' : 'user',
    groups: [`group-${person % 50}`],
  }));
  return startEngine({
    config: {
      auth: { tokens },
      agents: { spare: false },
      sandbox: { driver: 'docker', pool: { min: 0 } },
      limits: { maxSocketsPerUser: people, maxBytesPerSecond: 0, maxReadsPerSecond: 0 },
      approvals: { rules: rulesOf(0) },
    },
    env: { REDIS_URL: redisUrl, DOCKER_HOST: dockerHost() },
  });
}

/** As many rules as a large organisation has; one of them is new each time. */
function rulesOf(number: number): object[] {
  return Array.from({ length: RULES }, (_, rule) => ({
    server: `server-${rule}-${rule === 0 ? number : 0}`,
    group: `group-${rule % 50}`,
    action: 'ask',
  }));
}

async function attachAll(
  load: Load,
  engine: Engine,
  people: number,
  progress: BenchContext['progress'],
): Promise<LoadGroup[]> {
  const groups: LoadGroup[] = [];
  for (let group = 0; group < GROUPS; group++) {
    progress(`attaching ${people} people`, (0.6 * group) / GROUPS);
    const count = Math.floor(people / GROUPS);
    groups.push(await load.connect({ url: engine.wsUrl, count, token: tokenOf(group), atOnce: 50 }));
  }
  return groups;
}

async function reloadOnce(engine: Engine, number: number, { reload, main, agents, mainP99 }: Measured): Promise<void> {
  const config = JSON.parse(await readFile(engine.configPath, 'utf8')) as object;
  await writeFile(engine.configPath, JSON.stringify({ ...config, approvals: { rules: rulesOf(number + 1) } }));
  await delay(REST_MS);
  await fetchMetrics(engine.url); // the delays count from here
  const startedAt = performance.now();
  const answer = await fetch(`${engine.url}/v1/admin/reload`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokenOf(0)}` },
  });
  if (answer.status !== 200) throw new Error(`the reload was answered ${answer.status}: ${await answer.text()}`);
  reload.push(performance.now() - startedAt);
  const delays = delaysIn(await fetchMetrics(engine.url));
  main.push(worst(delays, '1', (thread) => thread === 'main'));
  mainP99.push(worst(delays, '0.99', (thread) => thread === 'main'));
  agents.push(worst(delays, '1', (thread) => thread.startsWith('agent')));
}

interface Delay {
  thread: string;
  quantile: string;
  ms: number;
}

function delaysIn(metrics: string): Delay[] {
  const lines = metrics.matchAll(/^fairlead_event_loop_delay_seconds\{([^}]*)\} (\S+)$/gm);
  return [...lines].map(([, labels = '', value]) => ({
    thread: /thread="([^"]*)"/.exec(labels)?.[1] ?? '',
    quantile: /quantile="([^"]*)"/.exec(labels)?.[1] ?? '',
    ms: Number(value) * 1_000,
  }));
}

function worst(delays: readonly Delay[], quantile: string, isMeant: (thread: string) => boolean): number {
  return Math.max(
    0,
    ...delays.filter((each) => each.quantile === quantile && isMeant(each.thread)).map(({ ms }) => ms),
  );
}

function findingsOf(sizes: typeof SHORT, { reload, main, agents, mainP99 }: Measured, lost: number): Findings {
  return {
    settings: { ...sizes, rules: RULES },
    ratios: [
      {
        id: 'reload-disconnects',
        name: 'People who were disconnected by a reload',
        value: lost,
        unit: 'people',
        better: 'lower',
        aim: 0,
      },
      {
        id: 'reload-loop-delay-p99',
        name: 'Event-loop delay of the main thread during a reload, p99',
        value: percentile(mainP99, 99),
        unit: 'ms',
        better: 'lower',
        aim: AIM_MS,
      },
    ],
    tables: [
      {
        title: 'By reload',
        head: ['', 'p50 ms', 'p99 ms', 'max ms'],
        rows: [
          row('from the request to the answer', reload),
          row('longest delay of the main thread’s event loop', main),
          row('longest delay of an agent thread’s event loop', agents),
        ],
      },
    ],
    plots: [],
    doubts: lost === 0 ? [] : [`${lost} sockets were lost`],
  };
}

function row(name: string, times: number[]): (string | number)[] {
  return [name, ...[50, 99, 100].map((p) => percentile(times, p))];
}
