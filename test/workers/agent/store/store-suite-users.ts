/** The store suite: the names of users. */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { events, newSession, type Backend } from './store-backend.js';

const DAY = 20_000;

/** Of one test alone, since all tests of the suite share the data. */
function names(count: number): string[] {
  const own = `u${randomBytes(8).toString('hex')}`;
  return Array.from({ length: count }, (_, index) => `${own}.${index}`);
}

export function userSuite(t: Test, backend: Backend): void {
  t.test('a user is listed by name from the first session or use on, once', async (t) => {
    const [store, other] = [await backend.open(t), await backend.open(t)];
    const [first = '', second = '', third = ''] = names(3);
    await newSession(store, { user: second });
    await newSession(other, { user: second });
    await newSession(other, { user: third });
    const counts = [1, 1, 0, 0, 0, 1, 0] as [number, number, number, number, number, number, number];
    const entries = [{ user: first, groups: [], model: 'm', counts }];
    await store.ledger.addUsage({ id: randomBytes(8).toString('hex'), day: DAY, entries, keepDays: 40_000 });
    const before = first.slice(0, -1);
    t.same(await store.users.list(before, 3), [first, second, third]);
    t.same(await store.users.list(before, 2), [first, second]);
    t.same(await other.users.list(second, 1), [third], 'and the name itself is not behind itself');
    t.equal((await store.users.list('', 1)).length, 1);
  });

  t.test('a name is forgotten when its user has no session, and not before', async (t) => {
    const store = await backend.open(t);
    const [user = ''] = names(1);
    const before = user.slice(0, -1);
    const { session } = await newSession(store, { user });
    await store.commit(session, { events: events(1) });
    await store.users.forget(user);
    t.same(await store.users.list(before, 1), [user]);
    await store.deleteSession(session);
    t.same(await store.users.list(before, 1), [user], 'it stays until somebody looks');
    await store.users.forget(user);
    await store.users.forget(user);
    t.notSame(await store.users.list(before, 1), [user]);
  });

  t.test('that the index is complete is told to every instance, and is no name', async (t) => {
    const [store, other] = [await backend.open(t), await backend.open(t)];
    const [user = ''] = names(1);
    await store.users.note([user]);
    await store.users.setComplete();
    t.equal(await other.users.isComplete(), true);
    t.notOk((await other.users.list('', 1_000)).some((name) => name.trim() === ''));
  });
}
