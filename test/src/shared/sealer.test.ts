import t from 'tap';
import { Sealer } from '../../../src/shared/sealer.js';

const KEY = 'ab'.repeat(32);

t.test('what is sealed opens under its own name alone, unchanged and whole', async (t) => {
  const sealer = new Sealer([KEY], 'tests');
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
  const sealed = new Sealer([KEY], 'tests').seal('name', 'a secret');
  t.same(new Sealer(['ac'.repeat(32)], 'tests').open('name', sealed), { broken: 'other-key' });
  t.same(new Sealer([KEY], 'other tests').open('name', sealed), { broken: 'other-key' });
});

t.test('the first of several keys seals, and all open: what an older one sealed is called old', async (t) => {
  const [older, newer] = [new Sealer([KEY], 'tests'), new Sealer(['ac'.repeat(32), KEY], 'tests')];
  const sealed = older.seal('name', 'a secret');
  t.same(newer.open('name', sealed), { bytes: Buffer.from('a secret'), isOld: true });
  const anew = newer.seal('name', 'a secret');
  t.same(newer.open('name', anew), { bytes: Buffer.from('a secret') });
  t.same(older.open('name', anew), { broken: 'other-key' });
  t.same(newer.open('another', sealed), { broken: 'damaged' });
});

t.test('what was sealed before there were several keys still opens', async (t) => {
  const record = 'AVjucaiGc9p0+KzfHw1rscyfwrG1yahUbCTdjYI3rB3x/d3wLPWrp941YrZf';
  t.same(new Sealer([KEY], 'tests').open('name', Buffer.from(record, 'base64')), { bytes: Buffer.from('a secret') });
});
