import t, { type Test } from 'tap';
import { createLog } from '../../../src/shared/log.js';
import { openServiceManager, Systemd, type Service } from '../../../src/boot/service-manager.js';
import { VERSION } from '../../../src/shared/version.js';
import { deferred, within } from '../../helpers/processes.js';
import { openNotifySocket } from '../../helpers/notify-socket.js';

const log = createLog('test', 'silent');
const STATUS = `STATUS=Fairlead ${VERSION}:`;
const URL_ = 'http://127.0.0.1:3000';

// The manager's own timer keeps no process alive.
const alive = setInterval(() => undefined, 1_000);
t.teardown(() => clearInterval(alive));

/** An engine whose state the test sets. */
function service(): Service & { reasons: string[]; well: boolean } {
  return {
    url: URL_,
    reasons: [],
    well: true,
    readiness() {
      return { ready: this.reasons.length === 0, reasons: this.reasons };
    },
    healthy() {
      return this.well;
    },
  };
}

/** What the manager sends, without systemd. */
function socket() {
  const sent: string[] = [];
  let look: (() => void) | undefined;
  return {
    sent,
    send: (state: string): Promise<void> => {
      sent.push(state);
      look?.();
      return Promise.resolve();
    },
    /** Resolves when `matches` is so of one sent from index `from` on. */
    until: (matches: (state: string) => boolean, from = 0): Promise<void> => {
      const found = deferred<void>();
      look = () => sent.slice(from).some(matches) && found.resolve();
      look();
      return within(found.promise, 10_000, () => `not sent: ${sent.join(' | ')}`);
    },
  };
}

function environment(t: Test, env: Record<string, string>): void {
  for (const [name, value] of Object.entries(env)) {
    process.env[name] = value;
    t.teardown(() => delete process.env[name]);
  }
}

t.test(
  'READY is said at once, since systemd would end a server that waits; what is missing is the status',
  async (t) => {
    const { sent, send, until } = socket();
    const manager = new Systemd({ send, watchdogMs: 0 }, log);
    t.teardown(() => manager.close());
    manager.status('starting');
    const engine = service();
    engine.reasons = ['the store does not answer', 'a\nb'];
    manager.follow(engine);
    await until((state) => state.startsWith(`READY=1\n${STATUS} not ready`));
    engine.reasons = [];
    await until((state) => state.startsWith(`${STATUS} ready`));
    engine.reasons = ['1 agent threads are down'];
    await until((state) => state.includes('agent threads'));
    engine.reasons = [];
    await until((state) => state.startsWith(`${STATUS} ready`), sent.length);
    manager.stopping();
    await until((state) => state.startsWith('STOPPING=1'));
    t.same(sent, [
      `${STATUS} starting`,
      `READY=1\n${STATUS} not ready: the store does not answer, a b`,
      `${STATUS} ready at ${URL_}`,
      `${STATUS} not ready: 1 agent threads are down`,
      `${STATUS} ready at ${URL_}`,
      `STOPPING=1\n${STATUS} draining`,
    ]);
  },
);

t.test('watchdog pings come only while the loops turn, and go on during the stop', async (t) => {
  const { sent, send, until } = socket();
  const manager = new Systemd({ send, watchdogMs: 200 }, log);
  t.teardown(() => manager.close());
  const engine = service();
  engine.well = false;
  const looked = deferred<void>();
  let looks = 0;
  engine.healthy = () => {
    if (++looks === 10) looked.resolve();
    return engine.well;
  };
  manager.follow(engine);
  await looked.promise;
  t.same(sent, [`READY=1\n${STATUS} ready at ${URL_}`]);
  engine.well = true;
  await until((state) => state === 'WATCHDOG=1');
  manager.stopping();
  await until((state) => state.startsWith('STOPPING'));
  await until((state) => state === 'WATCHDOG=1', sent.length);
});

t.test('who ends the process can wait until systemd has the last line', async (t) => {
  const { sent, send, until } = socket();
  const sending = deferred<void>();
  const manager = new Systemd({ send: (state) => sending.promise.then(() => send(state)), watchdogMs: 0 }, log);
  t.teardown(() => manager.close());
  manager.stopping();
  const told = manager.told().then(() => t.same(sent, [`STOPPING=1\n${STATUS} draining`]));
  sending.resolve();
  await until((state) => state.startsWith('STOPPING'));
  await told;
});

t.test('a systemd that takes nothing does no harm, and no pings queue up for it', async (t) => {
  const hung = deferred<void>();
  const sent: string[] = [];
  const send = (state: string): Promise<void> => {
    sent.push(state);
    return sent.length === 1 ? Promise.reject(new Error('ECONNREFUSED')) : hung.promise;
  };
  const manager = new Systemd({ send, watchdogMs: 40 }, log);
  t.teardown(() => manager.close());
  const engine = service();
  const looked = deferred<void>();
  let looks = 0;
  engine.readiness = () => {
    if (++looks === 20) looked.resolve();
    return { ready: true, reasons: [] };
  };
  manager.follow(engine);
  await looked.promise;
  t.same(sent, [`READY=1\n${STATUS} ready at ${URL_}`, 'WATCHDOG=1']);
});

t.test('without NOTIFY_SOCKET nobody is told anything', async (t) => {
  const manager = await openServiceManager(log);
  manager.status('starting');
  manager.follow(service());
  manager.stopping();
  manager.close();
  t.notOk(manager instanceof Systemd);
});

t.test(
  'it works over a real socket, by path and abstract; with WATCHDOG_PID of another process it sends no pings',
  async (t) => {
    for (const abstract of [false, true]) {
      for (const mine of [true, false]) {
        const notify = await openNotifySocket({ abstract });
        t.teardown(() => notify.close());
        environment(t, {
          NOTIFY_SOCKET: notify.path,
          WATCHDOG_USEC: '100000',
          WATCHDOG_PID: mine ? String(process.pid) : '1',
        });
        const manager = await openServiceManager(log);
        t.teardown(() => manager.close());
        manager.follow(service());
        await notify.waitFor((state) => state.startsWith('READY=1'));
        if (mine) await notify.waitFor((state) => state === 'WATCHDOG=1');
        manager.close();
        manager.status('the end');
        await notify.waitFor((state) => state === `${STATUS} the end`);
        const signs = notify.received.filter(({ state }) => state === 'WATCHDOG=1');
        t.equal(signs.length > 0, mine, `${notify.path} ${mine}`);
        t.ok(notify.received.every(({ pid }) => pid === process.pid));
      }
    }
  },
);

t.test('a reload is told to systemd from its begin to its end, with the time of the begin', async (t) => {
  const { sent, send, until } = socket();
  const manager = new Systemd({ send, watchdogMs: 0 }, log);
  t.teardown(() => manager.close());
  manager.reloading();
  manager.follow(service());
  await until((state) => state.startsWith('READY=1'));
  const before = process.hrtime.bigint() / 1000n;
  manager.reloading();
  manager.reloaded();
  await until((state) => state === 'READY=1');
  const [told = '', ready] = sent.slice(-2);
  const usec = BigInt(/^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(told)?.[1] ?? 0);
  t.ok(usec >= before && usec <= process.hrtime.bigint() / 1000n);
  t.equal(ready, 'READY=1');
  t.equal(sent.filter((state) => state.startsWith('RELOADING')).length, 1, 'none before it is ready');
});
