import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { connect, createServer, type AddressInfo } from 'node:net';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import t from 'tap';
import { parseConfig, type Config } from '../../../../src/shared/config.js';
import { createLog } from '../../../../src/shared/log.js';
import { DockerDriver } from '../../../../workers/docker/driver/docker-driver.js';
import type { StartRequest } from '../../../../workers/docker/driver/driver.js';
import { containersOf, docker, dockerHost } from '../../../helpers/docker.js';
import { DockerProxy } from '../../../helpers/docker-proxy.js';
import { deferred, freePort } from '../../../helpers/processes.js';
import { startSilentServer } from '../../../helpers/silent-server.js';
import { ECHO, makeTinyImage } from '../../../helpers/tiny-image.js';

const run = promisify(execFile);
const log = createLog('test', 'silent');
const echo = await makeTinyImage(ECHO);
t.teardown(() => echo.remove());

function configOf(sandbox: Record<string, unknown> = {}, host = dockerHost()): Config {
  return parseConfig({ sandbox }, { DOCKER_HOST: host });
}

function requestOf(changes: Partial<StartRequest> = {}): StartRequest {
  return {
    name: `fairlead-test-${randomUUID()}`,
    server: 'workspace',
    image: echo.tag,
    env: {},
    signal: new AbortController().signal,
    ...changes,
  };
}

async function left(instance: string): Promise<number> {
  return (await containersOf(`fairlead.instance=${instance}`)).length;
}

t.test('a started sandbox echoes over its streams and is gone when destroyed', async (t) => {
  const instance = randomUUID();
  const driver = new DockerDriver(configOf(), instance, log);
  const sandbox = await driver.start(requestOf());
  t.teardown(() => sandbox.destroy());
  sandbox.stdin.write('hello\n');
  const [data] = (await once(sandbox.stdout, 'data')) as [Buffer];
  t.equal(data.toString(), 'hello\n');
  await Promise.all([sandbox.destroy(), sandbox.destroy()]);
  t.equal(await left(instance), 0);
  t.match(await sandbox.exited, { code: null });
});

t.test('a program runs beside the server: input, output, exit code, and cut off by its signal', async (t) => {
  const driver = new DockerDriver(configOf(), randomUUID(), log);
  const sandbox = await driver.start(requestOf());
  t.teardown(() => sandbox.destroy());
  const { signal } = new AbortController();
  const cat = await sandbox.exec(['sh', '-c', 'cat; echo problem >&2; exit 7'], signal);
  cat.stdin.end(Buffer.alloc(1_000_000, 'x'));
  const [stdout, stderr] = await Promise.all([text(cat.stdout), text(cat.stderr)]);
  t.equal(stdout.length, 1_000_000);
  t.equal(stderr, 'problem\n');
  t.equal(await cat.exited, 7);
  const missing = await sandbox.exec(['no-such-program'], signal);
  missing.stdout.resume();
  t.ok([126, 127].includes((await missing.exited) ?? 0));
  const cut = new AbortController();
  const sleeping = await sandbox.exec(['sleep', '600'], cut.signal);
  cut.abort();
  t.not(await sleeping.exited, 0);
});

t.test('every container is hardened, as Docker itself says', async (t) => {
  process.env['FAIRLEAD_TEST_SECRET'] = 'must-not-be-seen';
  t.teardown(() => delete process.env['FAIRLEAD_TEST_SECRET']);
  const instance = randomUUID();
  const config = configOf({ memoryMb: 128, cpus: 0.25, pids: 50, workspaceMb: 32, tmpMb: 8, shmMb: 8 });
  const sandbox = await new DockerDriver(config, instance, log).start(requestOf({ env: { GREETING: 'hi' } }));
  t.teardown(() => sandbox.destroy());
  const { Config: made, HostConfig: host, State } = await docker().getContainer(sandbox.id).inspect();
  t.equal(State.Running, true);
  const uid = made.User.split(':')[0] ?? '';
  t.match(made.User, /^19000\d{5}:19000\d{5}$/);
  t.equal(made.User, `${uid}:${uid}`);
  t.equal(made.Tty, false);
  t.same(
    made.Env.filter((line) => !line.startsWith('PATH=')),
    ['GREETING=hi'],
  );
  t.match(made.Labels, {
    'fairlead.instance': instance,
    'fairlead.server': 'workspace',
  });
  t.equal(host.NetworkMode, 'none');
  t.equal(host.ReadonlyRootfs, true);
  t.same(host.Tmpfs, {
    '/workspace': `rw,exec,nosuid,nodev,size=32m,nr_inodes=4096,mode=0700,uid=${uid},gid=${uid}`,
    '/tmp': `rw,noexec,nosuid,nodev,size=8m,nr_inodes=1024,mode=0700,uid=${uid},gid=${uid}`,
    '/dev/shm': 'rw,noexec,nosuid,nodev,size=8m,nr_inodes=1024,mode=1777',
  });
  t.same(host.CapDrop, ['ALL']);
  t.notOk(host.CapAdd);
  t.match(host.SecurityOpt, ['no-new-privileges', /^seccomp=\{/]);
  t.equal(host.Privileged, false);
  t.equal(host.PidsLimit, 50);
  t.equal(host.Memory, 128 * 1_048_576);
  t.equal(host.MemorySwap, 128 * 1_048_576);
  t.equal(host.NanoCpus, 250_000_000);
  t.equal(host.Init, true);
  t.equal(host.IpcMode, 'private');
  t.equal(host.PidMode, '');
  t.notOk(host.Binds);
  t.same(host.LogConfig, { Type: 'none', Config: {} });
  t.match(host.Ulimits, [{ Name: 'nofile', Soft: 4096, Hard: 4096 }]);
  t.equal(host.AutoRemove, false);
});

t.test('inside, the user owns its workspace and cannot write elsewhere', async (t) => {
  const looks = await makeTinyImage(
    'id -u; id -g; echo a > /workspace/a && cat /workspace/a; echo b > /tmp/b && cat /tmp/b; echo c > /c; env | grep -c SECRET',
  );
  t.teardown(() => looks.remove());
  const sandbox = await new DockerDriver(configOf(), randomUUID(), log).start(requestOf({ image: looks.tag }));
  t.teardown(() => sandbox.destroy());
  let stdout = '';
  let stderr = '';
  sandbox.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  sandbox.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  await sandbox.exited;
  t.match(stdout, /^(19000\d{5})\n\1\na\nb\n/);
  t.match(stderr, /Read-only file system/);
});

t.test('a program that the kernel kills for its memory is told to the log, and its sandbox runs on', async (t) => {
  const told = deferred<object>();
  const listening = createLog('test', 'silent');
  listening.warn = ((fields: object, text: string) => {
    if (text.includes('out of memory')) told.resolve(fields);
  }) as typeof listening.warn;
  const driver = new DockerDriver(
    configOf({ workspaceMb: 1, tmpMb: 1, shmMb: 1, memoryMb: 68 }),
    randomUUID(),
    listening,
  );
  t.teardown(() => driver.close());
  const back = deferred<void>();
  driver.watch({ onDead: () => t.fail('it is not dead'), onBack: () => back.resolve() });
  await back.promise;
  const request = requestOf();
  const sandbox = await driver.start(request);
  const { stdout, stderr, exited } = await sandbox.exec(['busybox', 'tail', '/dev/zero'], new AbortController().signal);
  stdout.resume();
  stderr.resume();
  t.equal(await exited, 137);
  t.match(await told.promise, { container: request.name });
  await driver.close(); // before the removal, which would be told as its end
  await sandbox.destroy();
});

t.test('all sandboxes are below the cgroup that the configuration names', async (t) => {
  const parent = `fairlead-test-${randomUUID()}`;
  const driver = new DockerDriver(configOf({ cgroupParent: `/${parent}` }), randomUUID(), log);
  const sandbox = await driver.start(requestOf());
  t.teardown(async () => {
    await sandbox.destroy();
    // Docker makes it and leaves it.
    await run('sh', ['-c', `find /sys/fs/cgroup -depth -type d -path '*/${parent}*' -exec rmdir {} +`]);
  });
  const { State } = await docker().getContainer(sandbox.id).inspect();
  t.match(await readFile(`/proc/${State.Pid}/cgroup`, 'utf8'), `/${parent}/${sandbox.id}`);
});

t.test('what cannot be started as configured is ERR_SANDBOX that names the field, and nothing is left', async (t) => {
  const cases: [string, Record<string, unknown>, Partial<StartRequest>, RegExp][] = [
    ['a missing image', {}, { image: 'fairlead-test-no-such-image' }, /docker pull fairlead-test-no-such-image/],
    ['the missing workspace image', {}, { image: 'fairlead/workspace:no-such-tag' }, /npm run image/],
    ['an unknown runtime', { runtime: 'no-such-runtime' }, {}, /sandbox\.runtime/],
    ['too many CPUs', { cpus: 10_000 }, {}, /sandbox\.cpus/],
  ];
  for (const [name, sandbox, request, message] of cases) {
    const instance = randomUUID();
    const driver = new DockerDriver(configOf(sandbox), instance, log);
    await t.rejects(driver.start(requestOf(request)), { code: 'ERR_SANDBOX', message }, name);
    await driver.close();
    t.equal(await left(instance), 0, `${name}: nothing left`);
  }
});

t.test('a start that its caller gives up leaves nothing', async (t) => {
  const instance = randomUUID();
  const driver = new DockerDriver(configOf(), instance, log);
  const controller = new AbortController();
  const events = await docker().getEvents({ filters: { event: ['create'], label: [`fairlead.instance=${instance}`] } });
  t.teardown(() => (events as NodeJS.ReadableStream & { destroy(): void }).destroy());
  const starting = driver.start(requestOf({ signal: controller.signal }));
  starting.catch(() => undefined);
  await once(events, 'data'); // it has been created, and is about to be attached and started
  controller.abort(new Error('given up'));
  await t.rejects(starting);
  await driver.close();
  t.equal(await left(instance), 0);
});

t.test('a create whose answer is lost is found again by its name: one container, and it is the sandbox', async (t) => {
  const socketPath = dockerHost().replace(/^unix:\/\//, '');
  let cut = 0;
  const proxy = createServer((client) => {
    const upstream = connect(socketPath);
    client.on('error', () => client.destroy());
    client.on('close', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    upstream.pipe(client);
    // A connection serves several requests.
    client.on('data', (request: Buffer) => {
      if (request.includes('POST /containers/create') && cut++ === 0) {
        upstream.unpipe(client);
        upstream.once('data', () => client.destroy());
        upstream.resume();
      }
      upstream.write(request);
    });
  });
  proxy.listen(0, '127.0.0.1');
  t.teardown(() => proxy.close());
  await once(proxy, 'listening');
  const instance = randomUUID();
  const host = `tcp://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const sandbox = await new DockerDriver(configOf({}, host), instance, log).start(requestOf());
  t.teardown(() => sandbox.destroy());
  t.equal(cut, 2);
  t.match(await containersOf(`fairlead.instance=${instance}`), [{ id: sandbox.id, state: 'running' }]);
  t.equal(await left(instance), 1);
  await sandbox.destroy();
  t.equal(await left(instance), 0);
});

t.test('a sweep removes unknown containers of its own instance and of no other', async (t) => {
  const instance = randomUUID();
  const other = randomUUID();
  const earlier = new DockerDriver(configOf(), instance, log);
  const foreign = await new DockerDriver(configOf(), other, log).start(requestOf());
  t.teardown(() => foreign.destroy());
  const known = requestOf();
  for (const request of [requestOf(), known, requestOf()]) {
    const sandbox = await earlier.start(request);
    t.teardown(() => sandbox.destroy());
  }
  t.equal(await new DockerDriver(configOf(), instance, log).removeUnknown((name) => name === known.name), 2);
  t.equal(await left(instance), 1);
  t.equal(await left(other), 1);
});

t.test('its name says whose it is, until it is reset; by the name it was given it is known all the time', async (t) => {
  const instance = randomUUID();
  const driver = new DockerDriver(configOf(), instance, log);
  const request = requestOf();
  const sandbox = await driver.start(request);
  t.teardown(() => sandbox.destroy());
  const nameNow = async (): Promise<string> => (await docker().getContainer(sandbox.id).inspect()).Name;
  await sandbox.assign?.('Some_session-1');
  t.equal(await nameNow(), `/${request.name}.Some_session-1`);
  t.equal(await driver.removeUnknown((name) => name === request.name), 0);
  const again = await sandbox.restart?.(request.signal);
  t.equal(again?.id, sandbox.id);
  t.equal(await nameNow(), `/${request.name}`);
  await again?.destroy();
  t.equal(await left(instance), 0);
});

t.test('a stream that Docker refuses leaves no connection', async (t) => {
  const proxy = await DockerProxy.start();
  t.teardown(() => proxy.close());
  const driver = new DockerDriver(configOf({}, proxy.host), randomUUID(), log);
  const sandbox = await driver.start(requestOf());
  t.teardown(() => sandbox.destroy());
  const start = /POST .*\/exec\/.*\/start/;
  proxy.fault(start, { status: 500, message: 'the container is being removed' });
  const refused = sandbox.exec(['true'], new AbortController().signal);
  await t.rejects(refused, { code: 'ERR_UNAVAILABLE' });
  await proxy.ended(start);
  t.ok(proxy.count(start) >= 1);
});

t.test('a daemon that is not there is ERR_UNAVAILABLE with a time to come back', async (t) => {
  const driver = new DockerDriver(configOf({}, `tcp://127.0.0.1:${await freePort()}`), randomUUID(), log);
  await t.rejects(driver.start(requestOf()), { code: 'ERR_UNAVAILABLE', retryAfterMs: Number });
  await t.rejects(
    driver.removeUnknown(() => false),
    { code: 'ERR_UNAVAILABLE' },
  );
});

t.test('a daemon that hangs is ERR_UNAVAILABLE at the deadline; after a few the breaker refuses at once', async (t) => {
  const silent = await startSilentServer();
  t.teardown(() => silent.close());
  const driver = new DockerDriver(configOf({ startTimeoutMs: 300 }, silent.host), randomUUID(), log);
  const hang = (): Promise<unknown> => driver.start(requestOf());
  const began = performance.now();
  await t.rejects(hang(), { code: 'ERR_UNAVAILABLE' });
  const took = performance.now() - began;
  t.ok(took >= 250 && took < 3_000, `answered after ${Math.round(took)} ms`);
  await Promise.allSettled([hang(), hang(), hang(), hang(), hang()]);
  const before = silent.requests.length;
  t.ok(before > 0);
  await t.rejects(hang(), { code: 'ERR_UNAVAILABLE' });
  t.equal(silent.requests.length, before, 'Docker was not asked');
});
