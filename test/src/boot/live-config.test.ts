import t, { type Test } from 'tap';
import { LiveConfig } from '../../../src/boot/live-config.js';
import { auditTo } from '../../../src/shared/audit.js';
import { ConfigError, parseConfig, type Config } from '../../../src/shared/config.js';
import { createLog } from '../../../src/shared/log.js';
import { deferred } from '../../helpers/processes.js';

const log = createLog('test', 'silent');

function configOf(json: object): Config {
  return parseConfig(json, { FAIRLEAD_DATA: '/tmp/nowhere' });
}

/** `next`: what the file says. */
function world(t: Test, first: object, refuse?: (next: Config) => { path: string; message: string }[]) {
  const entries: Record<string, unknown>[] = [];
  const post = (entry: string): void => void entries.push(JSON.parse(entry) as Record<string, unknown>);
  auditTo({ arguments: 'digest', post, stored: async (entry) => post(entry) });
  t.teardown(() => auditTo(undefined));
  const file = { next: configOf(first), reads: 0, gate: Promise.resolve() };
  const live = new LiveConfig(file.next, {
    read: async () => {
      file.reads++;
      await file.gate;
      return file.next;
    },
    ...(refuse && { refuse }),
    log,
  });
  live.open();
  return { live, file, entries, says: (json: object) => (file.next = configOf(json)) };
}

t.test('what is live counts at once, what needs a restart is named, and the audit log has both', async (t) => {
  const { live, says, entries } = world(t, { limits: { maxInFlight: 3 } });
  const { limits } = live.view;
  const applied: [number, number][] = [];
  live.add({
    name: 'one',
    apply: (next, before) => void applied.push([before.limits.maxInFlight, next.limits.maxInFlight]),
  });
  live.add({ name: 'two', apply: async () => ['thread 1 is replaced'] });
  says({ limits: { maxInFlight: 7 }, listen: { port: 4000 } });
  t.same(await live.reload({ user: 'ada' }), {
    generation: 2,
    changed: { limits: ['maxInFlight'] },
    restart: ['listen.port'],
    warnings: ['thread 1 is replaced'],
  });
  t.equal(live.view.limits.maxInFlight, 7);
  t.equal(live.view.listen.port, 3000);
  t.equal(limits.maxInFlight, 3, 'who keeps a section keeps an old one');
  t.same(applied, [[3, 7]]);
  t.match(entries, [
    {
      what: 'config_loaded',
      user: 'ada',
      about: { generation: 2, restart: ['listen.port'], settingsSha256: /^[\da-f]{64}$/ },
    },
  ]);
});

t.test('a copy of the view for another thread is what counts now', async (t) => {
  const { live, says } = world(t, {});
  says({ model: { system: 'new' } });
  await live.reload();
  t.equal(structuredClone(live.view).model.system, 'new');
});

t.test('a file that says the same changes nothing, and no part is asked', async (t) => {
  const { live, says } = world(t, { limits: { maxInFlight: 3 } });
  live.add({ name: 'one', apply: () => void t.fail('it was asked') });
  says({ limits: { maxInFlight: 3 } });
  t.match(await live.reload(), { generation: 1, changed: {}, restart: [] });
});

t.test('with a problem nothing counts, it is recorded as refused, and the next reload works', async (t) => {
  const { live, file, says, entries } = world(t, { limits: { maxInFlight: 3 } });
  file.gate = Promise.reject(new ConfigError([{ path: 'a', message: 'b' }]));
  file.gate.catch(() => undefined);
  await t.rejects(live.reload(), { code: 'ERR_CONFIG', message: /a: b/ });
  t.equal(live.view.limits.maxInFlight, 3);
  t.match(entries, [{ what: 'config_loaded', outcome: 'refused', about: { code: 'ERR_CONFIG', problems: 1 } }]);
  file.gate = Promise.resolve();
  says({ limits: { maxInFlight: 4 } });
  t.match(await live.reload(), { generation: 2 });
});

t.test('what this server cannot be as it runs is refused whole', async (t) => {
  const { live, says } = world(t, {}, () => [{ path: 'sandbox.driver', message: 'isolates nothing' }]);
  says({ limits: { maxInFlight: 4 } });
  await t.rejects(live.reload(), { message: /isolates nothing/ });
  t.equal(live.view.limits.maxInFlight, 5);
});

t.test(
  'new keys that do not fit those of before the restart are refused, and what that waits for is named',
  async (t) => {
    const { live, says } = world(t, { auth: { mode: 'none' } });
    // With the mode that the file has now the name is right; with the one that counts until a restart it lets strangers in.
    says({ auth: { mode: 'token' }, listen: { hosts: ['ai.example.org'] } });
    await t.rejects(live.reload(), { message: /auth\.mode: is none, but .*until a restart auth\.mode is as before/ });
    t.same(live.view.listen.hosts, []);
  },
);

t.test('reloads run one after another, and all who call while one waits share it', async (t) => {
  const { live, file, says } = world(t, {});
  const gate = deferred<void>();
  file.gate = gate.promise;
  const first = live.reload();
  await Promise.resolve();
  const [second, third] = [live.reload(), live.reload()];
  gate.resolve();
  await first;
  says({ limits: { maxInFlight: 9 } });
  const [two, three] = await Promise.all([second, third]);
  t.equal(file.reads, 2);
  t.equal(two, three);
});

t.test('before the end of the start and after the stop has begun nothing is read', async (t) => {
  const live = new LiveConfig(configOf({}), { read: async () => t.fail('it was read') as never, log });
  await t.rejects(live.reload(), { code: 'ERR_UNAVAILABLE' });
  live.open();
  await live.close();
  await t.rejects(live.reload(), { code: 'ERR_UNAVAILABLE' });
});
