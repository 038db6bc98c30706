/** Redis or Docker is not there at the start: the server runs, says for what it waits, serves nobody, and needs no restart. */
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { dockerHost } from '../helpers/docker.js';
import { startEngine, type Engine, type EngineOptions } from '../helpers/engine.js';
import { SCRAPE_HEADERS } from '../helpers/metrics.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { makeTinyImage, tinyServer } from '../helpers/tiny-image.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const IN_PROCESSES = { sandbox: { driver: 'process' } };

async function engineOf(t: Test, options: EngineOptions): Promise<Engine> {
  const engine = await startEngine(options);
  t.teardown(() => engine.stop());
  return engine;
}

async function redisOf(t: Test): Promise<TestRedis> {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  return redis;
}

/** What probes and clients meet while the server waits for a part. */
async function servesNobody(t: Test, engine: Engine, part: RegExp): Promise<void> {
  const ready = await fetch(`${engine.url}/readyz`);
  t.equal(ready.status, 503);
  t.match(await ready.json(), { ready: false, reasons: [part] });
  t.equal((await fetch(`${engine.url}/healthz`)).status, 200);
  t.equal((await fetch(`${engine.url}/metrics`, { headers: SCRAPE_HEADERS })).status, 200);
  for (const [method, path] of [
    ['GET', '/v1/sessions'],
    ['POST', '/v1/sessions'],
    ['POST', '/mcp'],
  ] as const) {
    const body = method === 'POST' ? { body: '{}', headers: { 'content-type': 'application/json' } } : {};
    const answer = await fetch(`${engine.url}${path}`, { method, ...body });
    t.equal(answer.status, 503, `${method} ${path}`);
    t.match(answer.headers.get('retry-after'), /^\d+$/);
    t.match(await answer.json(), { code: 'ERR_UNAVAILABLE', detail: part });
  }
  const client = await connect(engine.wsUrl);
  t.match(await client.closed, { code: 1013, reason: part });
}

async function serves(t: Test, engine: Engine): Promise<void> {
  await engine.waitForReadiness(200);
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  t.match(await client.ask('hello'), { stopReason: 'end_turn' });
}

t.test('a Redis that is not there is waited for, and its password is in no line', async (t) => {
  const redis = await redisOf(t);
  await redis.kill();
  const env = { DOCKER_HOST: '', REDIS_URL: redis.url };
  const engine = await engineOf(t, { config: IN_PROCESSES, env });
  await servesNobody(t, engine, /Redis at redis:\/\/127\.0\.0\.1:\d+ does not answer \(ECONNREFUSED\)/);
  t.match(
    engine.logs.find(({ msg }) => msg.startsWith('Redis at')),
    { level: 40, msg: /REDIS_URL/ },
  );
  await redis.restart();
  await serves(t, engine);
  t.ok(engine.logs.some(({ msg }) => msg === 'Redis answers'));
});

t.test('a Redis that hangs is waited for', async (t) => {
  const redis = await redisOf(t);
  redis.pause();
  t.teardown(() => redis.resume());
  const engine = await engineOf(t, { config: IN_PROCESSES, env: { DOCKER_HOST: '', REDIS_URL: redis.url } });
  await servesNobody(t, engine, /Redis at .* does not answer/);
  redis.resume();
  await serves(t, engine);
});

t.test('a Docker whose socket is missing is waited for, and its sandboxes serve when it is there', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-away-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const tiny = await makeTinyImage(tinyServer(':'));
  t.teardown(() => tiny.remove());
  const socket = join(folder, 'docker.sock');
  const engine = await engineOf(t, {
    config: { sandbox: { driver: 'docker' }, mcpServers: { tiny: { image: tiny.tag } } },
    env: { DOCKER_HOST: `unix://${socket}` },
  });
  await servesNobody(t, engine, /Docker at unix:\/\/.*docker\.sock does not answer \(ENOENT\)/);
  await symlink(dockerHost().replace('unix://', ''), socket);
  await serves(t, engine);
  t.match(await (await fetch(`${engine.url}/v1/mcp`)).json(), { servers: [{ name: 'tiny', state: 'healthy' }] });
});

t.test('a server that waits for both names both, and a stop ends the wait', async (t) => {
  const redis = await redisOf(t);
  await redis.kill();
  const engine = await engineOf(t, { env: { DOCKER_HOST: 'unix:///nonexistent/docker.sock', REDIS_URL: redis.url } });
  await engine.waitForLog(({ msg }) => msg.startsWith('Docker at'));
  await engine.waitForLog(({ msg }) => msg.startsWith('Redis at'));
  const { reasons } = (await (await fetch(`${engine.url}/readyz`)).json()) as { reasons: string[] };
  t.match(reasons.toSorted(), [/^Docker at/, /^Redis at/]);
  t.same(await engine.stop(), { code: 0, signal: null });
});

t.test('a port in use ends a start that would have to wait', async (t) => {
  const first = await engineOf(t, { config: IN_PROCESSES, env: { DOCKER_HOST: '' } });
  const redis = await redisOf(t);
  await redis.kill();
  const PORT = new URL(first.url).port;
  const second = startEngine({ config: IN_PROCESSES, env: { DOCKER_HOST: '', REDIS_URL: redis.url, PORT } });
  await t.rejects(second, { exit: { code: 1 }, message: /in use/ });
});
