/** Warm sandboxes that die, are paused or hang: each is noticed, in each way on its own, and leased to nobody. */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { createLog } from '../../../../src/shared/log.js';
import { registry } from '../../../../src/shared/metrics.js';
import { ContainerPool } from '../../../../workers/docker/pool/container-pool.js';
import { DockerDriver } from '../../../../workers/docker/driver/docker-driver.js';
import { docker, dockerHost } from '../../../helpers/docker.js';
import { openSandboxes, type OpenedSandboxes } from '../../../helpers/docker-proxy.js';
import { makeTinyImage, tinyServer } from '../../../helpers/tiny-image.js';
import { removed, settled } from '../driver/docker-events.js';

const echo = await makeTinyImage(tinyServer(`printf '%s\\n' "$line"`));
t.teardown(() => echo.remove());
const images = { echo: echo.tag };

const NEWS = /^GET \/events/;
const ATTACH = /^POST \/containers\/\w+\/attach/;

type Harm = (id: string) => Promise<unknown>;
const kill: Harm = (id) => docker().getContainer(id).kill();
const pause: Harm = (id) => docker().getContainer(id).pause();
/** The container lives and is shown as running; its server does nothing any more. */
const stopServer: Harm = async (id) => {
  const exec = await docker()
    .getContainer(id)
    .exec({ Cmd: ['sh', '-c', 'kill -STOP -1'], AttachStdout: true });
  const stream = await exec.start({ hijack: true, stdin: false });
  await new Promise((resolve) => stream.on('end', resolve).on('close', resolve).resume());
};

async function lost(): Promise<number> {
  const metric = await registry.getSingleMetric('fairlead_sandbox_warm_lost_total')?.get();
  return metric?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
}

async function warmOf(opened: OpenedSandboxes): Promise<string[]> {
  return (await opened.containers()).map(({ id }) => id);
}

/** Leases all warm sandboxes: each works, and none is one of `bad`. */
async function takeAll(opened: OpenedSandboxes, count: number, bad: readonly string[]): Promise<string[]> {
  const taken: string[] = [];
  for (let i = 0; i < count; i++) {
    const { sandbox, port } = await opened.lease('echo', `s${i}`);
    if (bad.includes(sandbox)) throw new Error(`a client was given ${sandbox}, which is dead`);
    port.write(`hello ${i}\n`);
    await port.until(() => port.text === `hello ${i}\n`);
    taken.push(sandbox);
  }
  return taken;
}

/** Harms one of two warm sandboxes and waits for its replacement. Resolves with the ms until it was noticed. */
async function harmOne(opened: OpenedSandboxes, harm: Harm): Promise<{ bad: string; ms: number }> {
  const { sandboxes } = opened;
  const [bad = ''] = await warmOf(opened);
  const before = await lost();
  const began = performance.now();
  let noticed = 0;
  const gone = settled(() => {
    if (sandboxes.count('warm') < 2 && noticed === 0) noticed = performance.now() - began;
    return noticed > 0;
  });
  await Promise.all([harm(bad), gone]);
  await removed(bad);
  await settled(() => sandboxes.count('warm') === 2);
  if ((await lost()) !== before + 1) throw new Error('not counted as one lost');
  return { bad, ms: noticed };
}

async function openTwo(t: Parameters<typeof openSandboxes>[0]): Promise<OpenedSandboxes> {
  const opened = await openSandboxes(t, { images, warm: 2 });
  await settled(() => opened.sandboxes.count('warm') === 2);
  await opened.proxy.received(NEWS, 1);
  return opened;
}

t.test('a killed one is noticed by its stream alone, when Docker’s news do not come', async (t) => {
  const opened = await openTwo(t);
  opened.proxy.fault(NEWS, 'hang');
  opened.proxy.cut(NEWS);
  const { bad, ms } = await harmOne(opened, kill);
  t.ok(ms < 5_000, `noticed after ${Math.round(ms)} ms`);
  await takeAll(opened, 2, [bad]);
});

t.test('a killed one is noticed by Docker’s news alone, when its stream does not end', async (t) => {
  const opened = await openTwo(t);
  opened.proxy.freeze(ATTACH);
  const [bad = ''] = await warmOf(opened);
  const inspect = new RegExp(`^GET /containers/${bad}/json`);
  const before = opened.proxy.count(inspect);
  const { ms } = await harmOne(opened, kill);
  t.ok(ms < 5_000, `noticed after ${Math.round(ms)} ms`);
  t.equal(opened.proxy.count(inspect), before, 'its stream has told nothing');
});

t.test('a paused one is noticed by Docker’s news at once', async (t) => {
  const opened = await openTwo(t);
  const { bad, ms } = await harmOne(opened, pause);
  t.ok(ms < 5_000, `noticed after ${Math.round(ms)} ms`);
  await takeAll(opened, 2, [bad]);
});

t.test('one whose server hangs, and one paused while no news come, are found by a ping', async (t) => {
  const [hung, paused] = await Promise.all([openTwo(t), openTwo(t)]);
  paused.proxy.fault(NEWS, 'hang');
  paused.proxy.cut(NEWS);
  const bad: string[][] = [];
  for (const [opened, harm] of [
    [hung, stopServer],
    [paused, pause],
  ] as const) {
    const [first = ''] = await warmOf(opened);
    await harm(first);
    t.match(await docker().getContainer(first).inspect(), { State: { Running: true } }, 'the container lives');
    bad.push([first]);
  }
  for (const [index, opened] of [hung, paused].entries()) {
    const ids = bad[index] ?? [];
    await removed(ids[0] ?? '');
    await settled(() => opened.sandboxes.count('warm') === 2);
    await takeAll(opened, 2, ids);
  }
});

t.test(
  'when the daemon goes, its warm sandboxes are dropped at once, although it cannot say why they ended',
  async (t) => {
    const opened = await openTwo(t);
    const { proxy, sandboxes } = opened;
    const before = await warmOf(opened);
    proxy.fault(/./, 'hang'); // its socket is held open for it, as systemd does
    proxy.cut(ATTACH, NEWS);
    await settled(() => sandboxes.count('warm') === 0, 5_000);
    proxy.heal();
    await settled(() => sandboxes.count('warm') === 2);
    t.equal((await takeAll(opened, 2, before)).length, 2);
  },
);

t.test('what has waited long is asked before it is handed over; of four dead ones nobody sees one', async (t) => {
  const instance = randomUUID();
  const config = parseConfig({ mcpServers: { echo: { image: echo.tag } } }, { DOCKER_HOST: dockerHost() });
  const log = createLog('test', 'silent');
  const driver = new DockerDriver(config, instance, log);
  const limits = { min: 0, max: 10, maxStarting: 5, maxStartingAhead: 5, idleMs: 60_000 };
  const pool = new ContainerPool({
    config,
    instance,
    driver,
    server: 'echo',
    image: echo.tag,
    env: {},
    log,
    limits,
    forecast: () => ({ room: 10, releaseMs: 0 }),
    onChange: () => undefined, // this test is the planner
  });
  t.teardown(async () => {
    await Promise.all([...pool.all()].map((sandbox) => pool.drain(sandbox)));
    await driver.close();
  });
  pool.apply({ start: 5, stop: 0, target: 5 });
  await settled(() => pool.counts.warm === 5);
  const warm = [...pool.warm()];
  const bad = warm.slice(0, 4);
  await Promise.all(bad.map(({ running }, i) => (i % 2 ? pause : stopServer)(running?.id ?? '')));
  for (const sandbox of warm) sandbox.aliveAt = performance.now() - 31_000;
  const signal = new AbortController().signal;
  const [first, second] = [pool.take(signal), pool.take(signal)];
  t.equal(await Promise.race([first, second]), warm[4]);
  await settled(() => pool.counts.waiting === 1); // the other one has found no warm sandbox
  pool.apply({ start: 1, stop: 0, target: 0 });
  const both = await Promise.all([first, second]);
  t.same(
    both.filter((sandbox) => bad.includes(sandbox)),
    [],
  );
  t.ok(both.every(({ aliveAt }) => performance.now() - aliveAt < 30_000));
  await settled(() => pool.counts.draining === 0);
  t.same(
    bad.map(({ state }) => state),
    ['gone', 'gone', 'gone', 'gone'],
  );
});

t.test('killed, paused, cut off, one after the other and at random: every lease works', async (t) => {
  const opened = await openSandboxes(t, { images, warm: 4, sandbox: { pool: { maxStarting: 4 } } });
  const { sandboxes, proxy } = opened;
  const cutOff: Harm = async (id) => proxy.cut(new RegExp(`^POST /containers/${id}/attach`));
  const leased = new Set<string>();
  const harmed: string[] = [];
  for (const harm of [kill, pause, cutOff, kill]) {
    await settled(() => sandboxes.count('warm') === 4);
    const waiting = (await warmOf(opened)).filter((id) => !leased.has(id));
    const victims = waiting.slice(0, 2);
    await Promise.all(victims.map((id) => harm(id)));
    harmed.push(...victims);
    await settled(() => victims.length === 2 && sandboxes.count('warm') <= 2);
    for (const id of await takeAll(opened, 3, harmed)) leased.add(id);
  }
  t.equal(leased.size, 12);
  for (const id of leased) await sandboxes.release(id);
  await settled(() => sandboxes.count('warm') === 4 && sandboxes.count('draining') === 0);
  t.equal((await warmOf(opened)).length, 4);
});
