import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { parseConfig } from '../../src/shared/config.js';
import { STOP_MARGIN_MS } from '../../src/main.js';
import { VERSION } from '../../src/shared/version.js';
import { startEngine } from '../helpers/engine.js';
import { openNotifySocket, type NotifySocket } from '../helpers/notify-socket.js';
import { freePort } from '../helpers/processes.js';
import { until } from '../helpers/until.js';

const run = promisify(execFile);
const FOLDER = fileURLToPath(new URL('../../../systemd/', import.meta.url));
const UNIT = await readFile(join(FOLDER, 'fairlead.service'), 'utf8');
/** Of systemd's scale to 10: “OK” ends at 4. */
const MAX_EXPOSURE = 2.5;
const process_ = { sandbox: { driver: 'process' } };
const BLOWS = `--import=${new URL('threads/preload.js', import.meta.url).href}`;

/** The last value of a key of the unit. */
function setting(name: string): string {
  const value = UNIT.split('\n').findLast((line) => line.startsWith(`${name}=`));
  if (value === undefined) throw new Error(`the unit has no ${name}`);
  return value.slice(name.length + 1);
}

const STATUS = `STATUS=Fairlead ${VERSION}:`;
const isPing = (state: string): boolean => state === 'WATCHDOG=1';

async function notifySocket(t: Test): Promise<NotifySocket> {
  const notify = await openNotifySocket();
  t.teardown(() => notify.close());
  return notify;
}

t.test('systemd finds no fault in the unit, and little that it leaves open', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-unit-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'fairlead.service');
  // It looks whether the programs are there: those of this checkout are.
  const here = UNIT.replaceAll('/usr/local/bin/fairlead', join(FOLDER, 'fairlead'));
  t.not(here, UNIT);
  await writeFile(file, here);
  const verified = await run('systemd-analyze', ['verify', file]);
  t.equal(verified.stdout + verified.stderr, '');
  const { stdout } = await run('systemd-analyze', ['security', '--offline=yes', '--no-pager', file]);
  const exposure = Number(/Overall exposure level for fairlead\.service: ([\d.]+)/.exec(stdout)?.[1]);
  t.ok(exposure <= MAX_EXPOSURE, `exposure ${exposure}`);
});

t.test('the sandboxes’ slice stands beside the service, where its weight counts against it', async (t) => {
  const [slice = '', ...others] = (await readdir(FOLDER)).filter((name) => name.endsWith('.slice'));
  t.same(others, []);
  // system.slice holds services; each dash of a slice's name is a level below another slice.
  t.match(slice, /^system-[^-]+\.slice$/);
  const file = join(FOLDER, slice);
  const verified = await run('systemd-analyze', ['verify', file]);
  t.equal(verified.stdout + verified.stderr, '');
  t.equal(parseConfig({ sandbox: { cgroupParent: slice } }, {}).sandbox.cgroupParent, slice);
});

t.test('the unit’s limits leave room for what the server allows itself', async (t) => {
  const config = parseConfig({}, {});
  t.ok(Number(setting('TimeoutStopSec')) * 1_000 > config.listen.drainTimeoutMs + STOP_MARGIN_MS);
  t.ok(Number(setting('WatchdogSec')) * 1_000 > 3 * config.agents.hangTimeoutMs);
});

t.test('a wrong configuration is not tried again', async (t) => {
  t.equal(setting('RestartPreventExitStatus'), '78');
  t.notMatch(UNIT, 'ExecStartPre=', 'systemd looks at the exit code of the main process alone');
});

t.test('the example of the environment file is a valid configuration', async (t) => {
  const example = await readFile(join(FOLDER, 'fairlead.env.example'), 'utf8');
  const lines = example.split('\n').filter((line) => /^\w+=/.test(line));
  const env = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]));
  t.same(setting('EnvironmentFile'), '/etc/fairlead/fairlead.env');
  const config = parseConfig({}, env);
  t.match(config, { dataDir: '/var/lib/fairlead', store: { redisUrl: 'redis://127.0.0.1:6379' } });
  t.equal(`/var/lib/${setting('StateDirectory')}`, env['FAIRLEAD_DATA']);
});

t.test('READY once it serves, signs of life, STOPPING at SIGTERM; all from the process itself', async (t) => {
  const notify = await notifySocket(t);
  const engine = await startEngine({
    config: process_,
    env: { DOCKER_HOST: '', NOTIFY_SOCKET: notify.path, WATCHDOG_USEC: '400000' },
  });
  t.teardown(() => engine.stop());
  const { state } = await notify.waitFor((state) => state.startsWith('READY=1'));
  t.equal(state, `READY=1\n${STATUS} ready at ${engine.url}`);
  t.equal((await fetch(`${engine.url}/readyz`)).status, 200);
  for (let pings = 0; pings < 5; pings++) await notify.waitFor(isPing, { from: notify.received.length });
  engine.signal('SIGTERM');
  await notify.waitFor((state) => state === `STOPPING=1\n${STATUS} draining`);
  t.same(await engine.exited, { code: 0, signal: null });
  const states = notify.received.map(({ state }) => state).filter((state) => !isPing(state));
  t.same(states, [`${STATUS} starting`, state, `STOPPING=1\n${STATUS} draining`]);
  t.ok(notify.received.every(({ pid }) => pid === engine.pid));
});

t.test(
  'a server that waits for its Docker is started for systemd, gives signs of life, and its status says for what',
  async (t) => {
    const notify = await notifySocket(t);
    const DOCKER_HOST = `tcp://127.0.0.1:${await freePort()}`;
    const engine = await startEngine({ env: { NOTIFY_SOCKET: notify.path, WATCHDOG_USEC: '400000', DOCKER_HOST } });
    t.teardown(() => engine.stop());
    const { state } = await notify.waitFor((state) => state.startsWith('READY=1'));
    t.equal(state, `READY=1\n${STATUS} not ready: Docker at ${DOCKER_HOST} does not answer (ECONNREFUSED)`);
    for (let pings = 0; pings < 3; pings++) await notify.waitFor(isPing, { from: notify.received.length });
    engine.signal('SIGTERM');
    await notify.waitFor((state) => state === `STOPPING=1\n${STATUS} draining`);
    t.same(await engine.exited, { code: 0, signal: null }, 'a stop does not wait for Docker');
  },
);

t.test('a start that nothing mends ends, and READY is never said', async (t) => {
  const notify = await notifySocket(t);
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => void other.close());
  await once(other, 'listening');
  const PORT = String((other.address() as AddressInfo).port);
  const env = { NOTIFY_SOCKET: notify.path, DOCKER_HOST: '', PORT };
  const failure: unknown = await startEngine({ config: process_, env }).catch((error: unknown) => error);
  t.match(failure, { exit: { code: 1 }, message: /in use/ });
  await notify.waitFor((state) => state === `${STATUS} starting`);
  t.equal(notify.received.length, 1);
});

t.test('a server that waits for its model is started for systemd, and its status says for what', async (t) => {
  const notify = await notifySocket(t);
  const ANTHROPIC_BASE_URL = `http://127.0.0.1:${await freePort()}`;
  const env = { DOCKER_HOST: '', NOTIFY_SOCKET: notify.path, ANTHROPIC_API_KEY: 'sk-1', ANTHROPIC_BASE_URL };
  const engine = await startEngine({ config: process_, env });
  t.teardown(() => engine.stop());
  const { state } = await notify.waitFor((state) => state.startsWith('READY=1'));
  t.equal(state, `READY=1\n${STATUS} not ready: the model at ${ANTHROPIC_BASE_URL} does not answer (ECONNREFUSED)`);
  t.equal((await fetch(`${engine.url}/readyz`)).status, 503);
});

t.test('no signs of life while a thread hangs; they come again when it has been replaced', async (t) => {
  const notify = await notifySocket(t);
  const engine = await startEngine({
    config: { ...process_, agents: { threads: 2, hangTimeoutMs: 8_000 } },
    env: { DOCKER_HOST: '', NODE_OPTIONS: BLOWS, NOTIFY_SOCKET: notify.path, WATCHDOG_USEC: '400000' },
  });
  t.teardown(() => engine.stop());
  await notify.waitFor(isPing);
  engine.signal('SIGUSR2');
  let count = -1;
  let since = performance.now();
  // One comes each 200 ms as long as all is well.
  const silent = (): boolean => {
    if (notify.received.length !== count) since = performance.now();
    count = notify.received.length;
    return performance.now() - since > 2_000;
  };
  await until('the signs of life have stopped', silent, { timeoutMs: 20_000 });
  t.notOk(engine.logs.some(({ msg }) => msg === 'agent thread serves again'));
  await engine.waitForLog(({ msg }) => msg === 'agent thread serves again', 20_000);
  await notify.waitFor(isPing, { from: notify.received.length });
});
