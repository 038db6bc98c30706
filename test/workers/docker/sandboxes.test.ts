import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { parseConfig } from '../../../src/config.js';
import { createLog } from '../../../src/log.js';
import { DockerDriver } from '../../../workers/docker/docker-driver.js';
import { Sandboxes } from '../../../workers/docker/sandboxes.js';
import { containersOf, docker, dockerHost } from '../../helpers/docker.js';
import { SandboxPort } from '../../helpers/sandbox-port.js';
import { startSilentServer } from '../../helpers/silent-server.js';
import { ECHO, makeTinyImage, type TinyImage } from '../../helpers/tiny-image.js';

const MB_100 = 100 * 1_048_576;
const log = createLog('test', 'silent');
const images: Record<string, TinyImage> = {
  echo: await makeTinyImage(ECHO),
  exits: await makeTinyImage('echo why >&2; exit 7'),
  floods: await makeTinyImage(`head -c ${MB_100} /dev/zero`),
};
t.teardown(() => Promise.all(Object.values(images).map((image) => image.remove())));

function open(t: Test, host = dockerHost(), startTimeoutMs = 20_000): { instance: string; sandboxes: Sandboxes } {
  const instance = randomUUID();
  const mcpServers = Object.fromEntries(Object.entries(images).map(([name, { tag }]) => [name, { image: tag }]));
  const config = parseConfig({ mcpServers, sandbox: { startTimeoutMs } }, { DOCKER_HOST: host });
  const driver = new DockerDriver(config, instance, log);
  const sandboxes = new Sandboxes({ config, instance, driver, log });
  t.teardown(() => sandboxes.close());
  return { instance, sandboxes };
}

async function left(instance: string): Promise<number> {
  return (await containersOf(`fairlead.instance=${instance}`)).length;
}

/** Resolves when Docker has removed it. */
async function removed(id: string): Promise<void> {
  await docker()
    .getContainer(id)
    .wait({ condition: 'removed' })
    .catch((error: { statusCode?: number }) => {
      if (error.statusCode !== 404) throw error;
    });
}

t.test('a leased sandbox echoes; released, it tells its port last and is gone; releasing twice is fine', async (t) => {
  const { instance, sandboxes } = open(t);
  const port = new SandboxPort();
  t.teardown(() => port.close());
  const { sandbox, startedMs } = await sandboxes.lease({ session: 's1', server: 'echo', port: port.far });
  t.ok(startedMs > 0);
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

t.test('a sandbox whose agent closes its port, or says close, is removed', async (t) => {
  const { sandboxes } = open(t);
  for (const end of [(port: SandboxPort) => port.close(), (port: SandboxPort) => port.send({ type: 'close' })]) {
    const port = new SandboxPort();
    t.teardown(() => port.close());
    const { sandbox } = await sandboxes.lease({ session: 's1', server: 'echo', port: port.far });
    end(port);
    await removed(sandbox);
  }
  await sandboxes.releaseSession('s1');
  t.equal(sandboxes.count('leased'), 0);
});

t.test('a sandbox that exits at once tells its code last and is removed', async (t) => {
  const { instance, sandboxes } = open(t);
  const port = new SandboxPort();
  t.teardown(() => port.close());
  const { sandbox } = await sandboxes.lease({ session: 's1', server: 'exits', port: port.far });
  t.same(await port.exit(), { code: 7, reason: 'exited with code 7' });
  t.equal(port.stderr, 'why\n');
  await port.closed();
  await sandboxes.release(sandbox);
  t.equal(await left(instance), 0);
});

t.test('a session’s sandboxes are released together, those of others stay', async (t) => {
  const { instance, sandboxes } = open(t);
  const ports = [new SandboxPort(), new SandboxPort(), new SandboxPort()];
  t.teardown(() => ports.map((port) => port.close()));
  const sessions = ['mine', 'mine', 'other'];
  await Promise.all(
    ports.map(({ far }, i) => sandboxes.lease({ session: sessions[i] ?? '', server: 'echo', port: far })),
  );
  t.equal(await sandboxes.releaseSession('mine'), 2);
  t.equal(await left(instance), 1);
  t.equal(await sandboxes.releaseSession('mine'), 0);
});

t.test('close removes all, also what is still starting; nothing is leased afterwards', async (t) => {
  const { instance, sandboxes } = open(t);
  const ports = [new SandboxPort(), new SandboxPort(), new SandboxPort()];
  t.teardown(() => ports.map((port) => port.close()));
  const [first, second, third] = ports.map((port) => port.far);
  if (!first || !second || !third) throw new Error('three ports');
  await sandboxes.lease({ session: 's1', server: 'echo', port: first });
  const starting = sandboxes.lease({ session: 's2', server: 'echo', port: second });
  starting.catch(() => undefined);
  const [one, two] = await Promise.all([sandboxes.close(), sandboxes.close()]);
  t.equal(one, 2);
  t.equal(two, 2);
  await t.rejects(starting, { code: 'ERR_DRAINING' });
  t.equal(await left(instance), 0);
  await t.rejects(sandboxes.lease({ session: 's3', server: 'echo', port: third }), { code: 'ERR_DRAINING' });
});

t.test('a lease whose port closes while it starts is cancelled', async (t) => {
  const silent = await startSilentServer();
  t.teardown(() => silent.close());
  const { sandboxes } = open(t, silent.host, 1_000);
  const port = new SandboxPort();
  const lease = sandboxes.lease({ session: 's1', server: 'echo', port: port.far });
  lease.catch(() => undefined);
  await silent.received(/create/, 1);
  port.close();
  await t.rejects(lease, { code: 'ERR_CANCELLED' });
  t.equal(sandboxes.count('starting'), 0);
  await silent.close(); // else the clean-up waits for its deadline
});

t.test('100 MB of output wait for an agent that does not acknowledge, and none is lost', async (t) => {
  const { sandboxes } = open(t);
  const port = new SandboxPort({ acks: false, keeps: false });
  t.teardown(() => port.close());
  await sandboxes.lease({ session: 's1', server: 'floods', port: port.far });
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
  const { sandboxes } = open(t);
  const port = new SandboxPort();
  t.teardown(() => port.close());
  await t.rejects(sandboxes.lease({ session: 's1', server: 'nobody', port: port.far }), { code: 'ERR_SANDBOX' });
  await port.closed();
});
