import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { parseConfig } from '../../../src/shared/config.js';
import { isFairleadError, type FairleadError } from '../../../src/shared/errors.js';
import { createLog } from '../../../src/shared/log.js';
import { openDockerPool, type DockerPool, type DockerPoolOptions } from '../../../src/threads/docker-pool.js';
import type { LeaseResult } from '../../../workers/docker/contract/messages.js';
import { containersOf, dockerHost } from '../../helpers/docker.js';
import { deferred, within } from '../../helpers/processes.js';
import { SandboxPort } from '../../helpers/sandbox-port.js';
import { startSilentServer } from '../../helpers/silent-server.js';
import { makeTinyImage, tinyServer } from '../../helpers/tiny-image.js';

const log = createLog('test', 'silent');
const echo = await makeTinyImage(tinyServer(`printf '%s\\n' "$line"`));
t.teardown(() => echo.remove());

/** What is leased is all there is. */
const NO_SHELF = { min: 0, max: 0 };

interface Given extends Partial<DockerPoolOptions> {
  host?: string;
  sandbox?: Record<string, unknown>;
}

async function open(t: Test, { host = dockerHost(), sandbox = {}, ...options }: Given = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'fl-pool-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true }));
  const instance = randomUUID();
  const image = options.driver === 'process' ? 'fairlead/workspace' : echo.tag;
  const config = parseConfig(
    { sandbox: { pool: NO_SHELF, ...sandbox }, mcpServers: { workspace: { image } } },
    { DOCKER_HOST: host, FAIRLEAD_DATA: dataDir, LOG_LEVEL: 'silent' },
  );
  const pool = openDockerPool({ config, instance, driver: 'docker', log, ...options });
  t.teardown(() => pool.close());
  return { pool, instance };
}

function lease(t: Test, pool: DockerPool, session = 's1'): { port: SandboxPort; result: Promise<LeaseResult> } {
  const port = new SandboxPort();
  t.teardown(() => port.close());
  const result = pool.run('lease-sandbox', { session, server: 'workspace', port: port.far }, [port.far]);
  result.catch(() => undefined); // looked at later
  return { port, result };
}

async function left(instance: string): Promise<number> {
  return (await containersOf(`fairlead.instance=${instance}`)).length;
}

/** The new thread removes what the old one left and nobody had when it starts. */
async function noneLeft(instance: string): Promise<void> {
  while ((await left(instance)) > 0) await delay(20);
}

t.test('leases, relays, releases, counts, and close removes all that is left', async (t) => {
  const { pool, instance } = await open(t);
  const first = lease(t, pool);
  const second = lease(t, pool);
  const { sandbox } = await first.result;
  await second.result;
  first.port.write('hello\n');
  await first.port.until(() => first.port.text === 'hello\n');
  t.equal(await pool.run('release-sandbox', { sandbox }), null);
  const { metrics } = await pool.run('collect-metrics', {});
  const names = metrics.map((metric) => (metric as { name: string }).name);
  for (const name of ['fairlead_docker_operations_total', 'fairlead_sandboxes', 'fairlead_docker_breaker_open']) {
    t.ok(names.includes(name), name);
  }
  t.equal(await left(instance), 1);
  await Promise.all([pool.close(), pool.close()]);
  t.equal(await left(instance), 0);
  await second.port.exit();
  await t.rejects(pool.run('collect-metrics', {}), { code: 'ERR_DRAINING' });
  await t.rejects(lease(t, pool).result, { code: 'ERR_DRAINING' });
});

t.test('an error of the task keeps its code across the thread', async (t) => {
  const { pool } = await open(t);
  const port = new SandboxPort();
  t.teardown(() => port.close());
  await t.rejects(pool.run('lease-sandbox', { session: 's1', server: 'nobody', port: port.far }, [port.far]), {
    code: 'ERR_SANDBOX',
  });
});

t.test('of 130 leases at once 100 wait and 30 are refused at once; releases pass them by', async (t) => {
  const silent = await startSilentServer();
  t.teardown(() => silent.close());
  const { pool } = await open(t, { host: silent.host, sandbox: { startTimeoutMs: 3_000 }, closeTimeoutMs: 1_000 });
  const all = Array.from({ length: 130 }, () => lease(t, pool));
  const refused: FairleadError[] = [];
  const thirty = deferred<undefined>();
  for (const { result } of all) {
    result.catch((error: unknown) => {
      if (!isFairleadError(error)) throw error;
      refused.push(error);
      if (refused.length === 30) thirty.resolve(undefined);
    });
  }
  await within(thirty.promise, 15_000, () => `only ${refused.length} refused`);
  for (const error of refused) {
    t.equal(error.code, 'ERR_UNAVAILABLE');
    t.ok((error.retryAfterMs ?? 0) > 0);
  }
  t.same(await pool.run('release-session', { session: 'somebody-else' }), { released: 0 });
  t.equal(await pool.run('release-sandbox', { sandbox: 'no such' }), null);
  t.equal(refused.length, 30, 'all others still wait');
  const results = await Promise.allSettled(all.map(({ result }) => result));
  for (const result of results) {
    if (result.status !== 'rejected') t.fail('nothing can have been leased');
    else if (!isFairleadError(result.reason, 'ERR_UNAVAILABLE')) t.fail(`not ERR_UNAVAILABLE: ${result.reason}`);
  }
});

t.test(
  'when the thread dies its callers settle, and the next one serves with the sandboxes that were there',
  async (t) => {
    const lost = deferred<FairleadError>();
    const { pool, instance } = await open(t, { onWorkerLost: (error) => lost.resolve(error) });
    const { port, result } = lease(t, pool);
    const { sandbox } = await result;
    const underWay = lease(t, pool, 's2');
    const asked = pool.run('release-session', { session: 'nobody' });
    asked.catch(() => undefined);
    // What no agent thread sends: a fault in the thread, outside of any task.
    port.near.postMessage({ type: 'stdin', data: 1 });
    t.match(await lost.promise, { code: 'ERR_UNAVAILABLE' });
    await port.closed();
    await t.rejects(underWay.result, { code: 'ERR_UNAVAILABLE', retryAfterMs: Number });
    const again = lease(t, pool);
    const second = await again.result;
    t.match(second, { sandbox, generation: 1 });
    again.port.write('still here\n');
    await again.port.until(() => again.port.text === 'still here\n');
    await pool.run('release-sandbox', { sandbox: second.sandbox });
    await noneLeft(instance);
  },
);

t.test('a thread that hangs is replaced, and its sandbox is leased again', async (t) => {
  const lost = deferred<FairleadError>();
  const { pool } = await open(t, { onWorkerLost: (error) => lost.resolve(error) });
  const { port, result } = lease(t, pool);
  const { sandbox } = await result;
  await pool.endThread();
  await lost.promise;
  await port.closed();
  t.match(await lease(t, pool).result, { sandbox, generation: 1 });
});

t.test('a lease whose port closes while it starts is cancelled, and nothing of it stays', async (t) => {
  const { pool, instance } = await open(t);
  const { port, result } = lease(t, pool);
  port.close();
  await t.rejects(result, { code: 'ERR_CANCELLED' });
  await pool.close();
  t.equal(await left(instance), 0);
});

t.test('without Docker a lease is the workspace server in a process, and close ends it', async (t) => {
  const { pool } = await open(t, { driver: 'process' });
  const { port, result } = lease(t, pool);
  const { sandbox, handshake } = await result;
  t.match(sandbox, /^process:\d+$/);
  t.match(handshake, { era: 'legacy', initialize: { serverInfo: { name: String } } });
  port.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })}\n`);
  await port.until(() => port.text.includes('\n'));
  t.match(JSON.parse(port.text), { id: 1, result: {} });
  await pool.close();
  await port.exit();
  t.throws(() => process.kill(Number(sandbox.replace('process:', '')), 0), { code: 'ESRCH' });
});
