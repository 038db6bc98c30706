/** The list of users, over the embedded store. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import t, { type Test } from 'tap';
import { openLmdbStore } from '../../../../workers/agent/store/lmdb-store.js';
import { openTables } from '../../../../workers/agent/store/lmdb-tables.js';
import type { Store } from '../../../../workers/agent/store/store.js';
import { UserDirectory } from '../../../../workers/agent/thread/user-directory.js';
import { LIMITS, newRow, OWNER } from '../store/store-backend.js';

const DAY_MS = 86_400_000;
const TODAY = 20_000;
const log = pino({ level: 'silent' });

async function world(t: Test): Promise<{ store: Store; directory: UserDirectory; dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'fl-users-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const store = await openLmdbStore(dir, { owner: OWNER, limits: LIMITS });
  t.teardown(() => store.close());
  return { dir, store, directory: new UserDirectory({ store, log, now: () => TODAY * DAY_MS + 1 }) };
}

async function use(store: Store, user: string, day: number): Promise<void> {
  const entries = [{ user, groups: [], model: 'm', counts: [1, 1, 0, 0, 0, 1, 0] as never }];
  await store.ledger.addUsage({ id: `${user}${day}`, day, entries, keepDays: 30_000 });
}

t.test('who has sessions or was seen within 30 days is listed, and nobody else', async (t) => {
  const { store, directory } = await world(t);
  await store.createSession(newRow({ user: 'ada', lastActiveAt: 5 }));
  await store.createSession(newRow({ user: 'ada', lastActiveAt: 7 }));
  await use(store, 'bob', TODAY - 30);
  await use(store, 'bob', TODAY - 40);
  await use(store, 'cy', TODAY - 31);
  t.same(await directory.list({ after: '', limit: 10 }), {
    users: [
      { user: 'ada', sessions: 2, lastSeenAt: 7 },
      { user: 'bob', sessions: 0, lastSeenAt: (TODAY - 30) * DAY_MS },
    ],
  });
  t.same(await store.users.list('', 10), ['ada', 'bob'], 'a name without anything is not kept');
});

t.test('pages name where the next one begins, also where names had nothing left', async (t) => {
  const { store, directory } = await world(t);
  const names = Array.from({ length: 40 }, (_, index) => `user${String(index).padStart(2, '0')}`);
  for (const [index, user] of names.entries()) await use(store, user, TODAY - (index % 4 === 0 ? 1 : 100));
  const found: string[] = [];
  for (let after = '', pages = 0; ; pages++) {
    const { users, next } = await directory.list({ after, limit: 3 });
    t.ok(users.length <= 3);
    found.push(...users.map(({ user }) => user));
    if (next === undefined) break;
    t.ok(pages < names.length && next > after);
    after = next;
  }
  t.same(
    found,
    names.filter((_, index) => index % 4 === 0),
  );
});

t.test('sessions that an older version has stored are gone through once', async (t) => {
  const { store, directory, dir } = await world(t);
  for (const user of ['ada', 'bob']) await store.createSession(newRow({ user, lastActiveAt: 5 }));
  const raw = openTables(dir);
  t.teardown(() => raw.root.close());
  await raw.users.clearAsync(); // as that version has left it
  t.same(await store.users.list('', 10), []);
  t.same(
    (await directory.list({ after: '', limit: 10 })).users.map(({ user }) => user),
    ['ada', 'bob'],
  );
  t.equal(await store.users.isComplete(), true);
});

t.test('the sweep forgets names of which nothing is left, a few at a time', async (t) => {
  const { store, directory } = await world(t);
  const names = Array.from({ length: 120 }, (_, index) => `user${String(index).padStart(3, '0')}`);
  await store.users.note(names);
  await use(store, 'user119', TODAY);
  for (let sweeps = 0; sweeps < 4; sweeps++) await directory.sweep();
  t.same(await store.users.list('', 200), ['user119']);
});
