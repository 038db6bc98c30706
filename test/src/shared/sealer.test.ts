import t from 'tap';
import { Sealer } from '../../../src/shared/sealer.js';

const KEY = 'ab'.repeat(32);

t.test('what is sealed opens under its own name alone, unchanged and whole', async (t) => {
  const sealer = new Sealer(KEY, 'tests');
  const sealed = sealer.seal('name', 'a secret');
  t.same(sealer.open('name', sealed), { bytes: Buffer.from('a secret') });
  t.notOk(sealed.includes('a secret'));
  t.notSame(sealer.seal('name', 'a secret'), sealed, 'never the same twice');
  t.same(sealer.open('another', sealed), { broken: 'damaged' });
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed);
    changed[at]! ^= 1;
    t.ok(sealer.open('name', changed).broken, `byte ${at}`);
    t.ok(sealer.open('name', sealed.subarray(0, at)).broken, `${at} bytes`);
  }
});

t.test('another key, or the same one for another purpose, opens nothing', async (t) => {
  const sealed = new Sealer(KEY, 'tests').seal('name', 'a secret');
  t.same(new Sealer('ac'.repeat(32), 'tests').open('name', sealed), { broken: 'other-key' });
  t.same(new Sealer(KEY, 'other tests').open('name', sealed), { broken: 'other-key' });
});
