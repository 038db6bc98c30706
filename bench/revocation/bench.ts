/** Measures how soon a revoked token's sockets close, on the server that revokes it and on another of the same store. */
import { setTimeout as delay } from 'node:timers/promises';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startRedis } from '../../test/helpers/redis.js';
import { Load, type LoadGroup } from '../load/load.js';
import { percentile } from '../shared/figures.js';
import { Parts } from '../shared/work.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';

/** Sockets are of all tokens and both servers together. The load has room for 32 groups of sockets. */
const SHORT = { sockets: 600, tokens: 6 };
const FULL = { sockets: 5_000, tokens: 10 };
const AIM_MS = 1_000;
/** A socket that is still open then counts as never closed. */
const PATIENCE_MS = 15_000;
const SAMPLE_MS = 1;
const POLL_MS = 100;

export const bench: Bench = {
  name: 'revocation',
  question: 'How soon does a revoked token close its sockets, on two servers of one store?',
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

interface Side {
  name: string;
  engine: Engine;
  /** Of the data folder. */
  admin: string;
  /** ms from the revocation's request to each closed socket. */
  times: number[];
}

async function measure(sizes: typeof SHORT, parts: Parts, { signal, progress }: BenchContext): Promise<Findings> {
  progress('starting two servers', 0);
  const redis = await parts.open(startRedis(), (server) => server.stop());
  const load = new Load();
  await parts.open(Promise.resolve(load), () => load.end());
  const sides: Side[] = [];
  for (const name of ['the server that revokes it', 'the other server']) {
    const engine = await parts.open(start(redis.url, sizes.sockets), (server) => server.stop());
    sides.push({ name, engine, admin: await engine.token(), times: [] });
  }
  const perGroup = Math.floor(sizes.sockets / sizes.tokens / sides.length);
  const tokens: { id: string; groups: LoadGroup[] }[] = [];
  for (let made = 0; made < sizes.tokens; made++) {
    signal.throwIfAborted();
    progress(`attaching ${sizes.sockets} sockets`, (0.7 * made) / sizes.tokens);
    tokens.push(await attachAll(load, sides, perGroup));
  }
  let lost = 0;
  for (const [index, { id, groups }] of tokens.entries()) {
    signal.throwIfAborted();
    progress('revoking', 0.7 + (0.3 * index) / tokens.length);
    lost += await revoke(sides, id, groups);
    for (const group of groups) await group.drop();
  }
  return findingsOf(sizes, sides, lost);
}

function start(redisUrl: string, sockets: number): Promise<Engine> {
  return startEngine({
    config: {
      auth: {},
      agents: { spare: false },
      sandbox: { driver: 'process' },
      limits: { maxSocketsPerUser: sockets + 100, maxBytesPerSecond: 0, maxReadsPerSecond: 0 },
    },
    env: { REDIS_URL: redisUrl, DOCKER_HOST: '' },
  });
}

/** A token with one session and `count` sockets at each server. */
async function attachAll(load: Load, sides: Side[], count: number): Promise<{ id: string; groups: LoadGroup[] }> {
  const [first] = sides;
  const { id, token } = await ask<{ id: string; token: string }>(first!, '/v1/admin/tokens', { user: 'local' });
  const groups: LoadGroup[] = [];
  for (const side of sides) {
    const { session } = await ask<{ session: string }>(side, '/v1/sessions', {});
    await untilKnown(side, token);
    groups.push(await load.connect({ url: `${side.engine.wsUrl}?session=${session}`, count, token, atOnce: 50 }));
  }
  return { id, groups };
}

async function untilKnown({ engine }: Side, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  // Strangers have a rate, and until then it comes from one.
  while ((await fetch(`${engine.url}/v1/mcp`, { headers })).status !== 200) await delay(POLL_MS);
}

async function ask<T>({ engine, admin }: Side, path: string, body: object): Promise<T> {
  const answer = await fetch(engine.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (answer.status !== 201) throw new Error(`${path} was refused with ${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** Resolves with how many sockets have not closed in time. */
async function revoke(sides: Side[], id: string, groups: LoadGroup[]): Promise<number> {
  const [{ engine, admin }] = sides as [Side];
  const seen = groups.map(() => 0);
  const startedAt = performance.now();
  const revoked = fetch(`${engine.url}/v1/admin/tokens/${id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${admin}` },
  });
  const left = (): number => groups.reduce((sum, { size }, index) => sum + size - seen[index]!, 0);
  while (left() > 0 && performance.now() - startedAt < PATIENCE_MS) {
    await delay(SAMPLE_MS);
    const now = performance.now() - startedAt;
    for (const [index, group] of groups.entries()) {
      for (const { closed } = group.counts; seen[index]! < closed; seen[index]!++) sides[index]!.times.push(now);
    }
  }
  const { status } = await revoked;
  if (status !== 204) throw new Error(`the revocation was answered ${status}`);
  return left();
}

function findingsOf(sizes: typeof SHORT, sides: Side[], lost: number): Findings {
  const all = sides.flatMap(({ times }) => times);
  return {
    settings: { ...sizes, servers: sides.length },
    ratios: [
      {
        id: 'revoked-to-closed-p99',
        name: 'From the revocation to a closed socket, p99',
        value: percentile(all, 99),
        unit: 'ms',
        better: 'lower',
        aim: AIM_MS,
      },
    ],
    tables: [
      {
        title: 'From the request that revokes a token to its closed sockets',
        head: ['', 'sockets', 'p50 ms', 'p99 ms', 'max ms'],
        rows: [...sides.map(({ name, times }) => row(name, times)), row('both', all)],
      },
    ],
    plots: [],
    doubts: lost === 0 ? [] : [`${lost} sockets had not closed ${PATIENCE_MS} ms after their token was revoked`],
  };
}

function row(name: string, times: number[]): (string | number)[] {
  return [name, times.length, ...[50, 99, 100].map((p) => percentile(times, p))];
}
