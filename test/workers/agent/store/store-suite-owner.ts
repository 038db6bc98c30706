/** The store suite: a session's owner, its wake-up, its expiry. */
import type { Test } from 'tap';
import type { Store } from '../../../../workers/agent/store/store.js';
import { codeOf, events, newRow, newSession, OWNER, say, type Backend } from './store-backend.js';

async function sweep(store: Store): Promise<void> {
  for (const session of await store.expiredSessions(1_000, 100)) await store.deleteExpired(session, 1_000);
}

export function ownerSuite(t: Test, backend: Backend): void {
  t.test('only its owner commits to a session, and a takeover shuts the previous owner out', async (t) => {
    const [first, second] = [await backend.open(t), await backend.open(t, { owner: 'server-2' })];
    const { session } = await newSession(first);
    await first.commit(session, { events: events(1), messages: [say('kept')], row: { turns: 1 } });
    const before = await first.readSession(session);
    const refused = {
      events: events(2),
      messages: [say('lost')],
      row: { title: 'lost', lastActiveAt: 9_000 },
      accept: { id: 'lost', turn: 2 },
      wakeAt: Infinity,
    };
    t.equal(await codeOf(second.commit(session, refused)), 'ERR_STORE_CONFLICT');
    t.strictSame(await first.readSession(session), before);
    t.strictSame(await second.sessionsToWake(Infinity), []);

    t.strictSame(await second.takeOver(session), { ...before, owner: 'server-2' });
    t.strictSame(await second.readSession(session), { ...before, owner: 'server-2' });
    t.equal(await codeOf(first.commit(session, refused)), 'ERR_STORE_CONFLICT');
    t.strictSame(await first.readHistory(session), [say('kept')]);
    t.strictSame(await second.commit(session, { events: events(2), accept: { id: 'lost', turn: 2 } }), { ok: true });
    await first.touchSession(session, 50_000);
    t.equal((await second.readSession(session))?.lastActiveAt, 50_000, 'anybody may touch it');

    t.match(await first.takeOver(session), { owner: OWNER, seq: 2, lastActiveAt: 50_000 });
    t.match(await first.takeOver(session), { owner: OWNER, seq: 2 }, 'taking twice is fine');
    t.equal(await codeOf(second.commit(session, { events: events(3) })), 'ERR_STORE_CONFLICT');
    t.strictSame(await first.commit(session, { events: events(3) }), { ok: true });
    t.equal(await first.takeOver('nobody'), undefined);
    t.strictSame(await backend.traces('nobody'), []);
  });

  t.test('of two servers that take a session over at once one wins, and neither writes on a stale row', async (t) => {
    const stores = [await backend.open(t), await backend.open(t, { owner: 'server-2' })];
    const { session } = await newSession(stores[0]!);
    let landed = 0;
    for (let round = 0; round < 15; round++) {
      const codes = await Promise.all(
        stores.map(async (store, who) => {
          const row = await store.takeOver(session);
          return codeOf(
            store.commit(session, { events: events((row?.seq ?? 0) + 1), messages: [say(`${round} ${who}`)] }),
          );
        }),
      );
      for (const code of codes) t.match(code, /^(ok|ERR_STORE_CONFLICT)$/);
      landed += codes.filter((code) => code === 'ok').length;
      t.ok(codes.includes('ok'));
    }
    t.equal((await stores[0]?.readSession(session))?.seq, landed);
    t.equal((await stores[0]?.readHistory(session))?.length, landed);
  });

  t.test('sessions to wake come soonest first, those for the start last, and to their owner only', async (t) => {
    const owner = 'due {*}\0 ünï';
    const [store, other] = [await backend.open(t, { owner }), await backend.open(t, { owner: 'due-2' })];
    const made: string[] = [];
    for (const wakeAt of [3_000, Infinity, 1_000, null, 2_000]) {
      const { session } = await newSession(store, { owner });
      await store.commit(session, { events: events(1), wakeAt });
      made.push(session);
    }
    const [three, start, one, none, two] = made as [string, string, string, string, string];
    t.strictSame(await store.sessionsToWake(Infinity), [one, two, three, start]);
    t.strictSame(await store.sessionsToWake(3_000), [one, two]);
    t.strictSame(await store.sessionsToWake(3_000.5), [one, two, three]);
    t.strictSame(await store.sessionsToWake(1_000), []);
    t.strictSame(await other.sessionsToWake(Infinity), []);

    await store.commit(one, { events: [], wakeAt: 5_000 });
    await store.commit(two, { events: [] });
    await store.commit(three, { events: [], wakeAt: null });
    await store.commit(none, { events: [], wakeAt: 1 });
    t.strictSame(await store.sessionsToWake(Infinity), [none, two, one, start]);
    await store.deleteSession(two);
    t.strictSame(await store.sessionsToWake(Infinity), [none, one, start]);
    await store.dropWakeUp(none);
    await store.dropWakeUp(none);
    await store.dropWakeUp('nobody');
    await other.dropWakeUp(one);
    t.strictSame(await store.sessionsToWake(Infinity), [one, start]);
  });

  t.test('a commit that is refused leaves the wake-up as it was', async (t) => {
    const [owner, thief] = ['due-3', 'due-4'];
    const [store, other] = [await backend.open(t, { owner }), await backend.open(t, { owner: thief })];
    const due = (await newSession(store, { owner })).session;
    const idle = (await newSession(store, { owner })).session;
    await store.commit(due, { events: events(1), wakeAt: 1_000, accept: { id: 'm', turn: 1 } });
    await store.commit(idle, { events: events(1), accept: { id: 'm', turn: 1 } });
    for (const session of [due, idle]) {
      for (const wrong of [{ events: events(2), accept: { id: 'm', turn: 2 } }, { events: events(1) }]) {
        const outcome = await store.commit(session, { ...wrong, wakeAt: 9_000 }).catch(() => 'refused');
        t.not((outcome as { ok?: boolean }).ok, true);
        t.strictSame(await store.sessionsToWake(Infinity), [due]);
      }
    }
    t.strictSame(await store.sessionsToWake(1_001), [due], 'at its old time');
    t.equal(await codeOf(store.commit('nobody', { events: [], wakeAt: 5 })), 'ERR_STORE_CONFLICT');
    t.equal(await codeOf(store.commit(due, { events: [], wakeAt: Number.NaN })), 'ERR_INTERNAL');
    t.strictSame(await store.sessionsToWake(Infinity), [due]);

    await other.takeOver(due);
    t.strictSame(await store.sessionsToWake(Infinity), [], 'its wake-up goes with it');
    t.strictSame(await other.sessionsToWake(1_001), [due]);
    t.equal(await codeOf(store.commit(due, { events: events(2), wakeAt: 2_000 })), 'ERR_STORE_CONFLICT');
    t.strictSame(await store.sessionsToWake(Infinity), []);
    t.strictSame(await other.sessionsToWake(1_001), [due]);
  });

  t.test('an expired session is deleted whole; an active one, or one with an open turn, is not', async (t) => {
    const owner = 'due-5';
    const store = await backend.open(t, { owner });
    const row = await newSession(store, { owner, lastActiveAt: 900 });
    const { session } = row;
    const full = { events: events(1, 3), messages: [say('hello')], accept: { id: 'm', turn: 1 }, wakeAt: 1_000 };
    await store.commit(session, { ...full, row: { openTurns: [{ turn: 1 }], lastActiveAt: 1_000 } });
    t.equal(await store.deleteExpired(session, 1_001), false, 'a turn is open');
    t.equal(await store.deleteExpired(session, 1_001, 1_000), false, 'and not for that long');
    await store.commit(session, { events: [], row: { openTurns: [] } });
    t.equal(await store.deleteExpired(session, 1_000), false, 'last active then, not before');
    t.match(await store.readSession(session), { seq: 3 });
    t.strictSame(await store.readHistory(session), [say('hello')]);
    t.equal(await store.deleteExpired(session, 1_001), true);
    t.equal(await store.deleteExpired(session, 1_001), true, 'twice is fine');
    t.equal(await store.deleteExpired('nobody', 1_001), true);
    t.equal(await codeOf(store.commit(session, { events: events(4) })), 'ERR_STORE_CONFLICT');
    t.strictSame(await store.sessionsToWake(Infinity), []);
    t.strictSame(await backend.traces(session), []);
    t.strictSame(await backend.traces(row.user), []);
  });

  t.test('the janitors of two servers do not fight: each expired session goes, no other', async (t) => {
    const [one, two] = [await backend.open(t, { owner: 'janitor-1' }), await backend.open(t, { owner: 'janitor-2' })];
    const expired = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        newSession(one, { owner: `janitor-${(index % 2) + 1}`, lastActiveAt: 10 + index }),
      ),
    );
    const active = await newSession(one, { owner: 'janitor-1', lastActiveAt: 5_000 });
    const ids = expired.map(({ session }) => session);
    await Promise.all([sweep(one), sweep(two), sweep(one)]);
    t.notOk((await one.expiredSessions(1_000, 100)).some((session) => ids.includes(session)));
    t.strictSame(
      await one.readSeqs(ids),
      ids.map(() => 0),
    );
    t.ok(await two.readSession(active.session));
  });

  t.test('the newest seqs come in the order of the request', async (t) => {
    const store = await backend.open(t);
    const sessions: string[] = [];
    for (let i = 0; i < 5; i++) {
      const { session } = await newSession(store);
      if (i > 0) await store.commit(session, { events: events(1, i) });
      sessions.push(session);
    }
    const asked = [...sessions.toReversed(), newRow().session, sessions[2] as string];
    t.strictSame(await store.readSeqs(asked), [4, 3, 2, 1, 0, 0, 2]);
    t.strictSame(await store.readSeqs([]), []);
    t.equal(
      (await store.readSeqs(Array.from({ length: 2_500 }, () => sessions[4] as string))).join(''),
      '4'.repeat(2_500),
    );
  });
}
