/** A daemon that hangs, answers 500, has a full disk, breaks its connections or goes and comes back: what is asked of it, and who is told. */
import t from 'tap';
import { isFairleadError } from '../../../../src/shared/errors.js';
import { createLog } from '../../../../src/shared/log.js';
import { registry } from '../../../../src/shared/metrics.js';
import type { DockerDriver } from '../../../../workers/docker/driver/docker-driver.js';
import { Operations } from '../../../../workers/docker/driver/operations.js';
import { docker } from '../../../helpers/docker.js';
import { DISK_FULL, DISK_FULL_AT_START, openSandboxes, type OpenedSandboxes } from '../../../helpers/docker-proxy.js';
import { deferred } from '../../../helpers/processes.js';
import { makeTinyImage, tinyServer } from '../../../helpers/tiny-image.js';
import { until } from '../../../helpers/until.js';
import { settled } from './docker-events.js';

const log = createLog('test', 'silent');
const echo = await makeTinyImage(tinyServer(`printf '%s\\n' "$line"`));
t.teardown(() => echo.remove());
const images = { echo: echo.tag };

const ANY = /./;
const CREATE = /^POST \/containers\/create/;
const START = /^POST \/containers\/\w+\/start/;
const ATTACH = /^POST \/containers\/\w+\/attach/;
const NEWS = /^GET \/events/;
/** All that goes through the circuit breaker. */
const CALLS = /^(?!GET \/events|DELETE )/;

async function gaugeOf(name: string): Promise<number | undefined> {
  const metric = await registry.getSingleMetric(name)?.get();
  return metric?.values[0]?.value;
}

async function gaugeIs(name: string, value: number): Promise<void> {
  const deadline = performance.now() + 5_000;
  while ((await gaugeOf(name)) !== value) {
    if (performance.now() > deadline) throw new Error(`${name} is ${await gaugeOf(name)}, not ${value}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const notNow = (): Error => Object.assign(new Error('not now'), { statusCode: 500 });
const failAlways = (): Promise<never> => Promise.reject(notNow());
const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** How a lease was refused, and after how long. */
async function refused(
  opened: OpenedSandboxes,
): Promise<{ code: string; message: string; retryAfterMs: number; ms: number }> {
  const began = performance.now();
  try {
    await opened.lease('echo', 'other'); // a session that has a sandbox would wait for its end
  } catch (error) {
    if (!isFairleadError(error)) throw error;
    const { code, message, retryAfterMs = 0 } = error;
    return { code, message, retryAfterMs, ms: performance.now() - began };
  }
  throw new Error('it was leased');
}

function start(driver: DockerDriver, name: string): Promise<unknown> {
  const { signal } = new AbortController();
  const unique = `fairlead-test-${process.pid}-${name.replaceAll(/\W/g, '')}`;
  return driver.start({ name: unique, server: 'echo', image: echo.tag, env: {}, signal });
}

async function serves(opened: OpenedSandboxes, waitMs = 20_000): Promise<void> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    try {
      const { port, sandbox } = await opened.lease('echo', 'after');
      port.write('back\n');
      await port.until(() => port.text === 'back\n');
      await opened.sandboxes.release(sandbox);
      return;
    } catch (error) {
      if (!isFairleadError(error, 'ERR_UNAVAILABLE') || performance.now() > deadline) throw error;
      // As a client does that is told when to come back.
      await new Promise((resolve) => setTimeout(resolve, Math.min(error.retryAfterMs ?? 0, 500)));
    }
  }
}

t.test(
  '20 calls run and 100 wait; the others are refused at once, and no waiting call is made after its deadline',
  async (t) => {
    const { proxy, driver } = await openSandboxes(t, { images, sandbox: { startTimeoutMs: 3_000 } });
    proxy.fault(CREATE, { status: 400, message: 'no' }, 1);
    await t.rejects(start(driver, 'first')); // then nothing is asked before a create, which would take of its time
    const before = proxy.count(CREATE);
    proxy.fault(CREATE, 'hang');
    const began = performance.now();
    const quick: number[] = [];
    const starts = Array.from({ length: 130 }, async (_, i) => {
      try {
        await start(driver, String(i));
      } catch (error) {
        if (performance.now() - began < 1_500) quick.push(i);
        throw error;
      }
    });
    const results = Promise.allSettled(starts);
    await proxy.received(CREATE, before + 20);
    t.equal(await gaugeOf('fairlead_docker_operations_running'), 20);
    t.equal(await gaugeOf('fairlead_docker_operations_waiting'), 100);
    t.equal(quick.length, 10, 'refused at once');
    for (const result of await results) {
      if (result.status !== 'rejected') t.fail('nothing can have started');
      else t.match(result.reason, { code: 'ERR_UNAVAILABLE', retryAfterMs: Number });
    }
    t.equal(proxy.count(CREATE) - before, 20, 'calls whose deadline passed while they waited were never made');
    await gaugeIs('fairlead_docker_operations_running', 0);
    await gaugeIs('fairlead_docker_operations_waiting', 0);
  },
);

t.test('a call in backoff holds no slot', async (t) => {
  const operations = new Operations(log);
  const options = { operation: 'create', timeoutMs: 30_000 } as const;
  const gate = deferred<undefined>();
  let began = 0;
  let again = 0;
  // One in five is well, else the breaker would open.
  const failing = Array.from({ length: 20 }, (_, i) =>
    operations.run(options, async ({ attempt }) => {
      if (attempt > 0) again++;
      else if (++began === 20) gate.resolve(undefined);
      await gate.promise;
      if (attempt === 0 && i % 5 !== 4) throw notNow();
    }),
  );
  const end = deferred<undefined>();
  let others = 0;
  await gate.promise;
  const all = deferred<number>();
  const after = Array.from({ length: 20 }, () =>
    operations.run(options, async () => {
      if (++others === 20) all.resolve(again);
      await end.promise;
    }),
  );
  t.equal(await all.promise, 0, 'twenty others run before the first of them is tried again');
  end.resolve(undefined);
  await Promise.all([...failing, ...after]);
  t.equal(again, 16);
});

t.test('tries are further and further apart, and no two calls keep step', async (t) => {
  const real = globalThis.setTimeout;
  let waits: number[] = [];
  const hurried = (run: () => void, ms: number): NodeJS.Timeout => {
    if (ms > 20_000) return real(run, ms); // the deadline
    waits.push(ms);
    return real(run, 0);
  };
  t.intercept(globalThis, 'setTimeout', { value: hurried });
  const pairs: [number, number][] = [];
  for (let i = 0; i < 500; i++) {
    waits = [];
    const operations = new Operations(log);
    await t.rejects(operations.run({ operation: 'create', timeoutMs: 30_000 }, failAlways));
    if (waits.length !== 2) t.fail(`${waits.length} waits`);
    pairs.push([waits[0] ?? 0, waits[1] ?? 0]);
  }
  const early = pairs.map(([wait]) => wait);
  const late = pairs.map(([, wait]) => wait);
  // 87 ms and 116 ms, by the formula of decorrelated jitter with 100 ms.
  t.ok(mean(late) > mean(early), `${mean(early)} ms, then ${mean(late)} ms`);
  t.ok(
    pairs.every(([first, second]) => first + second > 130),
    'never three at once',
  );
  t.ok(Math.max(...early) - Math.min(...early) > 80, 'jitter');
});

t.test(
  'a daemon that answers 500: few calls in 20 s, one probe at a time, and service when it is well again',
  async (t) => {
    const opened = await openSandboxes(t, { images, warm: 2 });
    const { proxy, sandboxes, breaker } = opened;
    await settled(() => sandboxes.count('warm') === 2);
    proxy.fault(ANY, { status: 500, message: 'the daemon is unwell' });
    proxy.cut(NEWS);
    const from = proxy.requests.length;
    const began = performance.now();
    const calls = (): number => proxy.requests.slice(from).filter(({ line }) => CALLS.test(line)).length;
    for (let i = 0; i < 2; i++) await opened.lease('echo', `s${i}`); // the warm ones are still good
    while (performance.now() - began < 20_000) {
      const { code, retryAfterMs, ms } = await refused(opened);
      if (code !== 'ERR_UNAVAILABLE' || retryAfterMs <= 0) t.fail(`${code}, ${retryAfterMs}`);
      if (ms > 5_000) t.fail(`refused only after ${Math.round(ms)} ms`);
      await new Promise((resolve) => setTimeout(resolve, 50)); // many clients, none of which heeds retryAfterMs
    }
    t.ok(calls() <= 14, `${calls()} calls in 20 s`);
    t.ok(breaker.filter((state) => state === 'half-open').length >= 2, breaker.join());
    t.same(breaker.slice(0, 3), ['open', 'half-open', 'open']);
    t.ok(((await gaugeOf('fairlead_docker_breaker_open')) ?? 0) > 0);
    proxy.heal();
    await settled(() => sandboxes.count('warm') === 2);
    t.same(breaker.slice(-2), ['half-open', 'closed']);
    t.equal(await gaugeOf('fairlead_docker_breaker_open'), 0);
    await serves(opened);
  },
);

t.test(
  'the breaker: refuses unasked when open, lets one call try when half-open, closes with its success',
  async (t) => {
    const { proxy, driver, breaker } = await openSandboxes(t, { images });
    const look = (): Promise<unknown> => driver.resolveImage(echo.tag, 'echo');
    proxy.fault(CALLS, { status: 503, message: 'unwell' });
    await t.rejects(look(), { code: 'ERR_UNAVAILABLE' });
    await t.rejects(look(), { code: 'ERR_UNAVAILABLE' });
    t.same(breaker, ['open']);
    const before = proxy.count(CALLS);
    t.equal(before, 5, 'five in a row');
    const results = await Promise.allSettled(Array.from({ length: 50 }, look));
    t.ok(results.every((result) => result.status === 'rejected' && isFairleadError(result.reason, 'ERR_UNAVAILABLE')));
    t.equal(proxy.count(CALLS), before, 'Docker was not asked');
    const untilHalfOpen = async (): Promise<PromiseSettledResult<unknown>[]> => {
      const asked = proxy.count(CALLS);
      for (;;) {
        const tried = await Promise.allSettled(Array.from({ length: 10 }, look));
        if (proxy.count(CALLS) > asked) return tried;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    await untilHalfOpen();
    t.equal(proxy.count(CALLS), before + 1, 'one of ten has tried');
    t.same(breaker, ['open', 'half-open', 'open']);
    proxy.heal();
    const tried = await untilHalfOpen();
    t.ok(
      tried.every(({ status }) => status === 'fulfilled'),
      'the others waited for the one and went on',
    );
    t.same(breaker, ['open', 'half-open', 'open', 'half-open', 'closed']);
  },
);

t.test('an open breaker finds out by itself that Docker is well again', async (t) => {
  const { proxy, driver, breaker } = await openSandboxes(t, { images });
  proxy.fault(ANY, { status: 503, message: 'unwell' });
  for (let i = 0; i < 2; i++) await t.rejects(driver.resolveImage(echo.tag, 'echo'), { code: 'ERR_UNAVAILABLE' });
  await settled(() => breaker.join() === 'open,half-open,open');
  proxy.heal();
  await settled(() => breaker.at(-1) === 'closed');
});

t.test(
  'a daemon that hangs: warm sandboxes are leased, waiters are rejected in time, nothing is left, and it recovers',
  async (t) => {
    const opened = await openSandboxes(t, { images, warm: 2, sandbox: { startTimeoutMs: 2_000 } });
    const { proxy, sandboxes } = opened;
    await settled(() => sandboxes.count('warm') === 2);
    proxy.fault(ANY, 'hang');
    for (let i = 0; i < 2; i++) {
      const { port, waitedMs } = await opened.lease('echo', `s${i}`);
      port.write('hello\n');
      await port.until(() => port.text === 'hello\n');
      t.ok(waitedMs < 1_000, `${waitedMs} ms`);
    }
    const first = await refused(opened);
    t.match(first, { code: 'ERR_UNAVAILABLE' });
    t.ok(first.ms < 5_000, `${first.ms} ms`);
    t.ok(first.retryAfterMs > 0);
    proxy.heal();
    await serves(opened);
    await settled(() => sandboxes.count('warm') === 2 && sandboxes.count('starting') === 0);
    await opened.driver.removeUnknown((name) => sandboxes.isKnown(name));
    t.equal((await opened.containers()).length, 4, 'two warm, two leased');
  },
);

t.test('a create and a start that are done and never answered leave nothing behind', async (t) => {
  const { proxy, driver, containers } = await openSandboxes(t, { images, sandbox: { startTimeoutMs: 2_000 } });
  for (const which of [CREATE, START]) {
    proxy.fault(which, 'mute', 1);
    await t.rejects(start(driver, which.source), { code: 'ERR_UNAVAILABLE' });
    t.equal(proxy.count(which), 1, 'a call whose deadline has passed is not tried again');
  }
  await driver.close(); // waits for the removals
  t.equal(proxy.count(/^DELETE /), 2);
  t.same(await containers(), []);
});

t.test(
  'answers that are lost on the way to attach and to start are asked for again: one sandbox, and it works',
  async (t) => {
    const opened = await openSandboxes(t, { images });
    const { proxy } = opened;
    proxy.fault(CREATE, 'cut', 1);
    proxy.fault(ATTACH, 'cut', 1);
    proxy.fault(START, 'lose', 1);
    const { port, sandbox } = await opened.lease('echo');
    port.write('whole\n');
    await port.until(() => port.text === 'whole\n');
    t.same(
      [CREATE, ATTACH, START].map((which) => proxy.count(which)),
      [2, 2, 2],
    );
    t.match(await opened.containers(), [{ id: sandbox }]);
  },
);

t.test(
  'a full disk, at create and at start: ERR_UNAVAILABLE in Docker’s words, nothing left, service when there is room',
  async (t) => {
    for (const [which, fault] of [
      [CREATE, DISK_FULL],
      [START, DISK_FULL_AT_START],
    ] as const) {
      const opened = await openSandboxes(t, { images });
      const { proxy } = opened;
      proxy.fault(which, fault);
      const { code, message, retryAfterMs } = await refused(opened);
      t.equal(code, 'ERR_UNAVAILABLE', message);
      t.match(message, /no space left on device/);
      t.ok(retryAfterMs > 0);
      const creates = proxy.count(CREATE);
      t.ok(creates <= 3, `${creates} creates`);
      for (let i = 0; i < 20; i++) await refused(opened);
      t.ok(proxy.count(CREATE) <= creates + 3, 'and few more for twenty more leases');
      proxy.heal();
      await serves(opened);
      await opened.sandboxes.close();
      t.same(await opened.containers(), []);
    }
  },
);

t.test(
  'a daemon that restarts: leases end, new ones are refused at once, the warm pool is full again by itself',
  async (t) => {
    const opened = await openSandboxes(t, { images, warm: 2 });
    const { proxy, sandboxes } = opened;
    await settled(() => sandboxes.count('warm') === 2);
    const { port } = await opened.lease('echo');
    await settled(() => sandboxes.count('warm') === 2);
    const before = (await opened.containers()).map(({ id }) => id);
    await proxy.down();
    // They end with their streams already, unless they are stubborn.
    await Promise.allSettled(before.map((id) => docker().getContainer(id).kill()));
    t.match(await port.exit(), { code: null, reason: String });
    await settled(() => sandboxes.count('warm') === 0);
    const away = await refused(opened);
    t.equal(away.code, 'ERR_UNAVAILABLE');
    t.ok(away.ms < 5_000, `${away.ms} ms`);
    await proxy.up();
    await settled(() => sandboxes.count('warm') >= 2);
    await serves(opened);
    // The leased one is known until its end is sure, and reconciled away after that.
    const noneIsLeft = async (): Promise<boolean> => {
      await opened.driver.removeUnknown((name) => sandboxes.isKnown(name));
      const now = await opened.containers();
      return !now.some(({ id }) => before.includes(id));
    };
    await until('of those that died in between none is left', noneIsLeft, { timeoutMs: 60_000 });
  },
);
