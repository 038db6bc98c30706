import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { parseConfig } from '../../../src/shared/config.js';
import { createLog } from '../../../src/shared/log.js';
import { registry } from '../../../src/shared/metrics.js';
import { Archives } from '../../../workers/docker/archive/archives.js';
import { DockerDriver } from '../../../workers/docker/driver/docker-driver.js';
import type { LeaseResult } from '../../../workers/docker/contract/messages.js';
import { SandboxManager } from '../../../workers/docker/sandbox-manager.js';
import { ToolCache } from '../../../workers/docker/pool/tool-cache.js';
import { containersOf, docker, dockerHost } from '../../helpers/docker.js';
import { SandboxPort } from '../../helpers/sandbox-port.js';
import { startSilentServer } from '../../helpers/silent-server.js';
import { until } from '../../helpers/until.js';
import { makeTinyImage, tinyServer, type TinyImage } from '../../helpers/tiny-image.js';
import { makeFolder } from '../agent/mcp/command/command-bench.js';
import { removed, settled } from './driver/docker-events.js';

const MB_100 = 100 * 1_048_576;
const log = createLog('test', 'silent');
const images: Record<string, TinyImage> = {
  echo: await makeTinyImage(tinyServer(`printf '%s\\n' "$line"`)),
  floods: await makeTinyImage(tinyServer(`exec head -c ${MB_100} /dev/zero`)),
  dies: await makeTinyImage(tinyServer('echo why >&2; exit 7')),
  exits: await makeTinyImage('echo why >&2; exit 7'),
  mute: await makeTinyImage('exec sleep 600'),
  garbage: await makeTinyImage('echo "I am a shell"; exec cat > /dev/null'),
};
t.teardown(() => Promise.all(Object.values(images).map((image) => image.remove())));

interface Opened {
  instance: string;
  sandboxes: SandboxManager;
  lease: (server: string, session?: string, user?: string) => Promise<LeaseResult & { port: SandboxPort }>;
}

interface OpenOptions {
  servers?: string[];
  host?: string;
  sandbox?: Record<string, unknown>;
  toolCache?: ToolCache;
}

function open(t: Test, { servers = ['echo'], host = dockerHost(), sandbox = {}, toolCache }: OpenOptions = {}): Opened {
  const instance = randomUUID();
  const mcpServers = Object.fromEntries(
    servers.map((name) => [name, { image: images[name]?.tag ?? 'fairlead-test/no-such-image' }]),
  );
  const settings = { pool: { min: 0, maxStarting: 2 }, startTimeoutMs: 20_000, ...sandbox };
  const config = parseConfig({ mcpServers, sandbox: settings }, { DOCKER_HOST: host });
  const driver = new DockerDriver(config, instance, log);
  const archives = new Archives({ folder: t.testdir(), maxBytes: 1_048_576, timeoutMs: 10_000, log });
  const sandboxes = new SandboxManager({ config, instance, driver, archives, toolCache, log });
  sandboxes.open();
  t.teardown(() => sandboxes.close());
  return {
    instance,
    sandboxes,
    lease: async (server, session = 's1', user = '') => {
      const port = new SandboxPort();
      t.teardown(() => port.close());
      return { ...(await sandboxes.lease({ session, user, server, port: port.far })), port };
    },
  };
}

t.test('who is given sandboxes again and again waits behind somebody who was given few', async (t) => {
  const { lease, sandboxes } = open(t, { sandbox: { pool: { min: 0, maxStarting: 1 } } });
  const given: string[] = [];
  /** As fifty sessions do that lease and delete in a loop. */
  const again = async (session: number): Promise<void> => {
    const { sandbox } = await lease('echo', `loud-${session}`, 'loud');
    given.push('loud');
    await sandboxes.release(sandbox);
  };
  await again(0);
  await again(1);
  const loud = [2, 3, 4, 5, 6].map(again);
  const neighbour = lease('echo', 'quiet-1', 'quiet').then(() => given.push('quiet'));
  await Promise.all([...loud, neighbour]);
  // One start was under way for the first of them when the neighbour came.
  t.ok(given.indexOf('quiet') <= 3, given.join(' '));
});

async function untilOrphans(count: number): Promise<void> {
  const gauge = registry.getSingleMetric('fairlead_sandbox_orphans');
  await until(`${count} orphans`, async () => (await gauge?.get())?.values[0]?.value === count, { timeoutMs: 30_000 });
}

async function left(instance: string): Promise<number> {
  return (await containersOf(`fairlead.instance=${instance}`)).length;
}

t.test('a leased sandbox echoes; released, it tells its port last and is gone; releasing twice is fine', async (t) => {
  const { instance, sandboxes, lease } = open(t, { sandbox: { pool: { min: 0, max: 0 } } });
  const { sandbox, port, handshake } = await lease('echo');
  t.match(handshake, { era: 'legacy', initialize: { serverInfo: { name: 'tiny' } } });
  t.equal(sandboxes.count('leased'), 1);
  port.write('hello\n');
  await port.until(() => port.text === 'hello\n');
  await Promise.all([sandboxes.release(sandbox), sandboxes.release(sandbox)]);
  await sandboxes.release(sandbox);
  t.match(await port.exit(), { code: null });
  await port.closed();
  t.equal(await left(instance), 0);
  t.same([sandboxes.count('starting'), sandboxes.count('leased'), sandboxes.count('draining')], [0, 0, 0]);
});

t.test('a warm sandbox is handed over without a call to Docker, and replaced', async (t) => {
  const { sandboxes, lease } = open(t, { sandbox: { pool: { min: 2 } } });
  await settled(() => sandboxes.count('warm') === 2 && sandboxes.count('starting') === 0);
  const warm = await containersOf('fairlead.instance');
  const first = await lease('echo', 's1');
  t.ok(warm.some(({ id }) => id === first.sandbox));
  const second = await lease('echo', 's2');
  t.not(second.sandbox, first.sandbox);
  await settled(() => sandboxes.count('warm') >= 2);
  first.port.write('mine\n');
  await first.port.until(() => first.port.text === 'mine\n');
  t.equal(second.port.text, '');
});

t.test('tools are known from the first sandbox of an image, and need none afterwards', async (t) => {
  const { sandboxes } = open(t);
  t.match(await sandboxes.readTools('echo'), {
    tools: [{ name: 'echo', description: 'Says it again' }],
    resources: false,
  });
  const before = sandboxes.count('leased');
  t.match(await sandboxes.readTools('echo'), { tools: [{ name: 'echo' }] });
  t.equal(sandboxes.count('leased'), before);
});

t.test('tools of an image that an earlier run has seen are known without a sandbox', async (t) => {
  const folder = makeFolder(t);
  const first = open(t, { toolCache: new ToolCache(folder, log) });
  const known = await first.sandboxes.readTools('echo');
  await first.sandboxes.close();
  const second = open(t, { toolCache: new ToolCache(folder, log), sandbox: { pool: { min: 0, max: 0 } } });
  t.same(await second.sandboxes.readTools('echo'), known);
  t.equal(await left(second.instance), 0);
  const { handshake } = await second.lease('echo');
  t.equal(handshake.era, 'legacy');
  await t.rejects(open(t, { servers: ['none'], toolCache: new ToolCache(folder, log) }).sandboxes.readTools('none'), {
    code: 'ERR_SANDBOX',
  });
});

t.test('a warm sandbox that dies is replaced, and nobody is given it', async (t) => {
  const { instance, sandboxes, lease } = open(t, { sandbox: { pool: { min: 1 } } });
  await settled(() => sandboxes.count('warm') === 1);
  const [warm] = await containersOf(`fairlead.instance=${instance}`);
  await docker()
    .getContainer(warm?.id ?? '')
    .kill();
  await settled(() => sandboxes.count('warm') === 0);
  const { sandbox, port } = await lease('echo');
  t.not(sandbox, warm?.id);
  port.write('alive\n');
  await port.until(() => port.text === 'alive\n');
});

t.test('a sandbox whose agent closes it is removed; one whose agent dies waits for its session', async (t) => {
  // No warm pool: a sandbox started for demand would stay in it.
  const { sandboxes, lease } = open(t, { sandbox: { pool: { min: 0, max: 0 } } });
  const closed = await lease('echo');
  closed.port.send({ type: 'close' });
  await removed(closed.sandbox);
  const left = await lease('echo');
  left.port.write('half a li');
  left.port.close();
  await settled(() => sandboxes.count('warm') + sandboxes.count('starting') + sandboxes.count('draining') === 0);
  const other = await lease('echo', 's2');
  t.not(other.sandbox, left.sandbox);
  const again = await lease('echo');
  t.match(again, { sandbox: left.sandbox, handshake: left.handshake, generation: 1 });
  again.port.write('here\n');
  await again.port.until(() => again.port.text === 'here\n');
  await sandboxes.releaseSession('s1');
  t.equal(sandboxes.count('leased'), 1);
});

t.test('of one session’s two sandboxes that nobody speaks for one waits, and the other goes', async (t) => {
  const { sandboxes, lease } = open(t);
  const both = await Promise.all([lease('echo'), lease('echo')]);
  for (const { port } of both) port.close();
  await settled(() => sandboxes.count('leased') === 1 && sandboxes.count('draining') === 0);
  const again = await lease('echo');
  t.ok(both.some(({ sandbox }) => sandbox === again.sandbox));
  t.equal(sandboxes.count('leased'), 1);
});

t.test(
  'an orphan that dies, or does not answer its new handshake, is gone; its session gets another one',
  async (t) => {
    const { sandboxes, lease } = open(t, { servers: ['dies', 'echo'] });
    const dies = await lease('dies');
    dies.port.close(); // the empty line before its new handshake ends it
    await removed(dies.sandbox);
    const echo = await lease('echo');
    echo.port.close();
    await untilOrphans(1); // a lease before that is another sandbox
    const again = await lease('echo');
    t.equal(again.sandbox, echo.sandbox, 'its session gets it back');
    again.port.close();
    await untilOrphans(1);
    await docker().getContainer(echo.sandbox).kill();
    await removed(echo.sandbox);
    await settled(() => sandboxes.count('leased') === 0);
    for (const [server, old] of [
      ['dies', dies],
      ['echo', echo],
    ] as const) {
      const next = await lease(server);
      t.not(next.sandbox, old.sandbox);
      t.equal(next.generation, 0);
    }
  },
);

t.test('a sandbox that exits tells its code last and is removed', async (t) => {
  const { lease } = open(t, { servers: ['dies'] });
  const { sandbox, port } = await lease('dies');
  port.write('die\n');
  t.same(await port.exit(), { code: 7, reason: 'exited with code 7' });
  t.equal(port.stderr, 'why\n');
  await port.closed();
  await removed(sandbox);
});

t.test('a session’s sandboxes are released together, those of others stay', async (t) => {
  const { sandboxes, lease } = open(t);
  const [one, two, other] = await Promise.all([lease('echo', 'mine'), lease('echo', 'mine'), lease('echo', 'other')]);
  t.equal(await sandboxes.releaseSession('mine'), 2);
  await Promise.all([one.port.closed(), two.port.closed()]);
  t.equal(sandboxes.count('leased'), 1);
  t.equal(await sandboxes.releaseSession('mine'), 0);
  other.port.write('here\n');
  await other.port.until(() => other.port.text === 'here\n');
});

t.test('close removes all, also what is still starting; nothing is leased afterwards', async (t) => {
  const { instance, sandboxes, lease } = open(t, { sandbox: { pool: { min: 2 } } });
  await lease('echo', 's1');
  const waiting = Promise.all([lease('echo', 's2'), lease('echo', 's3'), lease('echo', 's4')]);
  waiting.catch(() => undefined);
  const [one, two] = await Promise.all([sandboxes.close(), sandboxes.close()]);
  t.equal(one, two);
  await t.rejects(waiting, { code: 'ERR_DRAINING' });
  t.equal(await left(instance), 0);
  await t.rejects(lease('echo', 's5'), { code: 'ERR_DRAINING' });
});

t.test('a caller that leaves the queue leaves no gap: the next one moves up', async (t) => {
  const { sandboxes, lease } = open(t, { sandbox: { pool: { min: 0, max: 0, maxStarting: 1 } } });
  const port = new SandboxPort();
  const given = sandboxes.lease({ session: 's1', server: 'echo', port: port.far });
  given.catch(() => undefined);
  const next = lease('echo', 's2');
  port.close();
  await t.rejects(given, { code: 'ERR_CANCELLED' });
  const { port: mine } = await next;
  mine.write('my turn\n');
  await mine.until(() => mine.text === 'my turn\n');
  t.equal(sandboxes.count('leased'), 1);
});

t.test('a full line, and one that is too slow, are refused at once with a time to come back', async (t) => {
  const { lease } = open(t, { sandbox: { pool: { min: 0, max: 0, maxStarting: 1, maxWaiting: 2 } } });
  const waiting = [lease('echo', 's1'), lease('echo', 's2')];
  await t.rejects(lease('echo', 's3'), { code: 'ERR_UNAVAILABLE', retryAfterMs: Number });
  await Promise.all(waiting);
  const slow = open(t, { sandbox: { leaseTimeoutMs: 1 } });
  await t.rejects(slow.lease('echo'), { code: 'ERR_UNAVAILABLE', retryAfterMs: Number });
});

t.test('the host’s budget is not exceeded: a caller without room waits for a release', async (t) => {
  const { instance, sandboxes, lease } = open(t, { sandbox: { pool: { min: 0, max: 5 }, budget: { containers: 1 } } });
  const first = await lease('echo', 's1');
  const second = lease('echo', 's2');
  t.equal(await left(instance), 1);
  await sandboxes.release(first.sandbox);
  const { port } = await second;
  port.write('now\n');
  await port.until(() => port.text === 'now\n');
  t.equal(await left(instance), 1);
});

t.test(
  'images that cannot be used are ERR_SANDBOX in plain words, are in backoff for a while, and leave others alone',
  async (t) => {
    const servers = ['echo', 'exits', 'mute', 'garbage', 'missing'];
    const { instance, lease } = open(t, { servers, sandbox: { startTimeoutMs: 10_000 } });
    const expected = {
      exits: /exited with code 7/,
      mute: /did not answer/,
      garbage: /I am a shell/,
      missing: /is missing/,
    };
    await Promise.all(
      Object.entries(expected).map(async ([server, message]) => {
        await t.rejects(lease(server), { code: 'ERR_SANDBOX', message }, server);
        await t.rejects(lease(server), { code: 'ERR_SANDBOX', message }, `${server} again`);
      }),
    );
    const { port, sandbox } = await lease('echo');
    port.write('fine\n');
    await port.until(() => port.text === 'fine\n');
    const names = (await containersOf(`fairlead.instance=${instance}`)).filter(({ id }) => id !== sandbox);
    t.ok(names.every(({ labels }) => labels['fairlead.server'] === 'echo'));
  },
);

t.test('a lease whose port closes while Docker hangs is cancelled', async (t) => {
  const silent = await startSilentServer();
  t.teardown(() => silent.close());
  const { sandboxes } = open(t, { host: silent.host, sandbox: { startTimeoutMs: 1_000 } });
  const port = new SandboxPort();
  const lease = sandboxes.lease({ session: 's1', server: 'echo', port: port.far });
  lease.catch(() => undefined);
  await silent.received(/images/, 1);
  port.close();
  await t.rejects(lease, { code: 'ERR_CANCELLED' });
  t.equal(sandboxes.count('leased'), 0);
  await silent.close(); // else the start waits for its deadline
});

t.test('100 MB of output wait for an agent that does not acknowledge, and none is lost', async (t) => {
  const { sandboxes } = open(t, { servers: ['floods'] });
  const port = new SandboxPort({ acks: false, keeps: false });
  t.teardown(() => port.close());
  await sandboxes.lease({ session: 's1', server: 'floods', port: port.far });
  port.write('flood\n');
  await port.until(() => port.bytes === 1_048_576);
  const before = process.memoryUsage();
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  const after = process.memoryUsage();
  t.equal(port.bytes, 1_048_576, 'one window, no more');
  const grown = after.arrayBuffers + after.external - before.arrayBuffers - before.external;
  t.ok(grown < 8 * 1_048_576, `buffers grew by ${grown} bytes`);
  port.acks = true;
  port.send({ type: 'ack', bytes: 1_048_576 });
  await port.exit();
  t.equal(port.bytes, MB_100);
});

t.test('a server that is not configured is ERR_SANDBOX', async (t) => {
  const { lease } = open(t);
  await t.rejects(lease('nobody'), { code: 'ERR_SANDBOX' });
});
