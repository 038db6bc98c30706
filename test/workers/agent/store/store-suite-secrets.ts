/** The store suite: secrets. */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { until, type Backend } from './store-backend.js';

function newKey(): string {
  return `tokens:{user-${randomBytes(6).toString('hex')}}:server`;
}

export function secretSuite(t: Test, backend: Backend): void {
  t.test('a secret comes back byte for byte, for another instance too, and is gone when it is deleted', async (t) => {
    const [store, other] = [await backend.open(t), await backend.open(t)];
    const key = newKey();
    t.equal(await store.readSecret(key), undefined);
    const bytes = randomBytes(5_000);
    const version = await store.writeSecret(key, bytes);
    t.strictSame(await other.readSecret(key), { bytes, version });
    t.equal(await other.readSecret(`${key}2`), undefined);
    await other.deleteSecret(key);
    await other.deleteSecret(key);
    t.equal(await store.readSecret(key), undefined);
  });

  t.test('of two writes with the same version one lands, and a version never comes back', async (t) => {
    const stores = [await backend.open(t), await backend.open(t)];
    const store = stores[0]!;
    const key = newKey();
    const made = await Promise.all(stores.map((each) => each.writeSecret(key, randomBytes(8), { ifVersion: 0 })));
    t.equal(made.filter((version) => version !== undefined).length, 1);
    let seen = (await store.readSecret(key))?.version ?? 0;
    for (let round = 0; round < 10; round++) {
      const written = await Promise.all(
        stores.map((each, who) => each.writeSecret(key, Buffer.from([who]), { ifVersion: seen })),
      );
      const winner = written.findIndex((version) => version !== undefined);
      t.equal(written.filter((version) => version !== undefined).length, 1);
      t.ok(written[winner]! > seen);
      seen = written[winner]!;
      t.strictSame(await store.readSecret(key), { bytes: Buffer.from([winner]), version: seen });
    }
    t.equal(await store.writeSecret(key, Buffer.from('x'), { ifVersion: 0 }), undefined, 'there is one');
    const blind = await store.writeSecret(key, Buffer.from('x'));
    t.ok(blind! > seen, 'without a version whatever is there is replaced');
  });

  t.test('a secret expires after its time to live, unless it is written again without one', async (t) => {
    const store = await backend.open(t);
    const [short, kept] = [newKey(), newKey()];
    await store.writeSecret(short, Buffer.from('short'), { ttlMs: 30 });
    await store.writeSecret(kept, Buffer.from('short'), { ttlMs: 30 });
    await store.writeSecret(kept, Buffer.from('kept'));
    await until(async () => (await store.readSecret(short)) === undefined);
    t.equal((await store.readSecret(kept))?.bytes.toString(), 'kept');
    t.type(await store.writeSecret(short, Buffer.from('new'), { ifVersion: 0 }), 'number');
    t.equal((await store.readSecret(short))?.bytes.toString(), 'new');
    t.equal((await store.readSecret(kept))?.bytes.toString(), 'kept', 'also after others were cleared away');
  });
}
