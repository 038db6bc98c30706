import t from 'tap';
import { until } from '../../../../helpers/until.js';
import { LoginSealer } from '../../../../../workers/agent/mcp/oauth/seal.js';
import { openSecrets } from '../../../../../workers/agent/mcp/oauth/secrets.js';
import { KeyedLock } from '../../../../../workers/agent/mcp/oauth/keyed-lock.js';

const unused = () => Promise.reject(new Error('nothing is stored without a key'));
const NO_STORE = { readSecret: unused, writeSecret: unused, deleteSecret: unused };

t.test('a sealed secret opens only under its own name, and only whole', async (t) => {
  const sealer = new LoginSealer(['ab'.repeat(32)]);
  const sealed = sealer.seal('name', 'a secret');
  t.same(sealer.open('name', sealed), { text: 'a secret', isOld: false });
  t.notOk(sealed.includes('a secret'));
  t.notSame(sealer.seal('name', 'a secret'), sealed, 'never the same twice');
  t.throws(() => sealer.open('another', sealed), { code: 'ERR_MCP', message: /damaged/ });
  for (let at = 9; at < sealed.length; at++) {
    const broken = Buffer.from(sealed);
    broken[at]! ^= 1;
    t.throws(() => sealer.open('name', broken), { code: 'ERR_MCP', message: /damaged/ });
  }
  for (let length = 0; length < sealed.length; length++) {
    t.throws(() => sealer.open('name', sealed.subarray(0, length)), { code: 'ERR_MCP' });
  }
  t.throws(() => new LoginSealer(['ac'.repeat(32)]).open('name', sealed), {
    code: 'ERR_MCP',
    message: /another FAIRLEAD_SECRET_KEY/,
  });
});

t.test('without a key secrets are kept in memory, with versions and a time to live', async (t) => {
  const secrets = openSecrets(NO_STORE, []);
  t.equal(await secrets.read('a'), undefined);
  const version = await secrets.write('a', { x: 1 }, { ifVersion: 0 });
  t.strictSame(await secrets.read('a'), { value: { x: 1 }, version });
  t.equal(await secrets.write('a', { x: 2 }, { ifVersion: 0 }), undefined);
  t.type(await secrets.write('a', { x: 3 }, { ifVersion: version! }), 'number');
  await secrets.write('short', 1, { ttlMs: 0 });
  await until('its time is over', async () => (await secrets.read('short')) === undefined, { timeoutMs: 5_000 });
  await secrets.remove('a');
  t.equal(await secrets.read('a'), undefined);
});

t.test('one at a time for a key, also after one that failed', async (t) => {
  const lock = new KeyedLock();
  const order: string[] = [];
  const first = lock.run('a', async () => {
    await Promise.resolve();
    order.push('first');
    throw new Error('failed');
  });
  const second = lock.run('a', async () => void order.push('second'));
  await lock.run('b', async () => void order.push('other'));
  await t.rejects(first, /failed/);
  await second;
  t.strictSame(
    order.filter((name) => name !== 'other'),
    ['first', 'second'],
  );
});
