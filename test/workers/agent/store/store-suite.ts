/** The store suite: what every store must do. redis-store.test.ts and lmdb-store.test.ts run it. */
import type { Test } from 'tap';
import type { SessionRow, Store } from '../../../../workers/agent/store/store.js';
import { codeOf, events, LIMITS, newRow, newSession, ODD_TEXTS, say, type Backend } from './store-backend.js';
import { credentialSuite } from './store-suite-credentials.js';
import { ledgerSuite } from './store-suite-ledger.js';
import { logSuite } from './store-suite-log.js';
import { ownerSuite } from './store-suite-owner.js';
import { historySuite } from './store-suite-history.js';
import { readerSuite } from './store-suite-reader.js';
import { quotaSuite } from './store-suite-quotas.js';
import { secretSuite } from './store-suite-secrets.js';
import { userSuite } from './store-suite-users.js';

export function storeSuite(t: Test, backend: Backend): void {
  historySuite(t, backend);
  readerSuite(t, backend);
  logSuite(t, backend);
  ownerSuite(t, backend);
  secretSuite(t, backend);
  credentialSuite(t, backend);
  quotaSuite(t, backend);
  ledgerSuite(t, backend);
  userSuite(t, backend);

  t.test('answers a ping and reports how long each operation took', async (t) => {
    const seen: string[] = [];
    const store = await backend.open(t, {
      observe: (operation, seconds) => {
        t.ok(seconds >= 0 && seconds < 5);
        seen.push(operation);
      },
    });
    await store.ping();
    t.equal(await store.readSession('nobody'), undefined);
    t.strictSame(seen, ['ping', 'readSession']);
  });

  t.test('a session that does not exist reads as undefined or empty, and cannot be written', async (t) => {
    const store = await backend.open(t);
    t.equal(await store.readSession('nobody'), undefined);
    t.strictSame(await store.readHistory('nobody'), []);
    t.strictSame(await store.readEvents('nobody', 0, 10), { events: [], oldest: 0 });
    t.strictSame(await store.listSessions('nobody', { limit: 10 }), { sessions: [] });
    await store.touchSession('nobody', 5);
    await store.deleteSession('nobody');
    t.equal(await codeOf(store.commit('nobody', { events: events(1) })), 'ERR_STORE_CONFLICT');
    t.strictSame(await backend.traces('nobody'), []);
  });

  t.test('a row comes back as it was, with odd characters in every text', async (t) => {
    const store = await backend.open(t);
    for (const [i, text] of ODD_TEXTS.entries()) {
      const row = await newSession(store, {
        user: `${i}${text}`,
        title: text,
        model: text,
        seq: 0,
        turns: 7,
        openTurns: [{ turn: 6 }, { turn: 7, waiting: [{ type: 'text', text }] }],
        allowed: ['workspace/read_file', text],
        owner: text,
        context: { from: 2, messages: 4, tokens: 99 },
        withheld: [text],
        who: { role: 'operator', groups: [text] },
      });
      t.strictSame(await store.readSession(row.session), row);
      t.strictSame(await store.listSessions(row.user, { limit: 10 }), { sessions: [row] });
      t.strictSame(await store.listSessions(`${row.user}x`, { limit: 10 }), { sessions: [] });
    }
  });

  t.test('a session is created once', async (t) => {
    const store = await backend.open(t);
    const row = await newSession(store, { title: 'first' });
    for (const other of [{ createdAt: 1_001 }, { user: 'another' }, { owner: 'another' }]) {
      t.equal(await codeOf(store.createSession({ ...row, title: 'second', ...other })), 'ERR_STORE_CONFLICT');
    }
    t.equal((await store.readSession(row.session))?.title, 'first');
  });

  t.test('a commit writes events, messages and row together, and another instance sees it', async (t) => {
    const [store, other] = [await backend.open(t), await backend.open(t)];
    const row = await newSession(store);
    const openTurns = [{ turn: 1, waiting: ['hello'] }];
    const context = { from: 0, messages: 2, tokens: 1_234 };
    const result = await store.commit(row.session, {
      events: events(1, 3),
      messages: [say('hello'), say('hi', 'assistant')],
      row: { title: 'hello', turns: 1, openTurns, allowed: ['a/b'], lastActiveAt: 2_000, model: 'model-2', context },
    });
    t.strictSame(result, { ok: true });
    const expected = {
      ...row,
      title: 'hello',
      turns: 1,
      openTurns,
      allowed: ['a/b'],
      lastActiveAt: 2_000,
      model: 'model-2',
      context,
      seq: 3,
    };
    t.strictSame(await other.readSession(row.session), expected);
    t.strictSame(await other.readHistory(row.session), [say('hello'), say('hi', 'assistant')]);
    t.strictSame(await other.readEvents(row.session, 0, 10), { events: events(1, 3), oldest: 1 });
    const later = { title: 'later', context: null };
    t.strictSame(await store.commit(row.session, { events: events(4), row: later }), { ok: true });
    t.strictSame(await other.readSession(row.session), { ...expected, ...later, seq: 4 });
  });

  t.test('a commit without events keeps the seq', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    await store.commit(session, { events: events(1, 2) });
    t.strictSame(await store.commit(session, { events: [], messages: [say('a')], row: { turns: 3 } }), { ok: true });
    t.match(await store.readSession(session), { seq: 2, turns: 3 });
  });

  t.test('a repeated or skipped seq is a conflict and its commit writes nothing', async (t) => {
    const store = await backend.open(t);
    const row = await newSession(store);
    await store.commit(row.session, { events: events(1, 2), messages: [say('kept')] });
    const before = await store.readSession(row.session);
    for (const first of [1, 2, 4]) {
      const commit = {
        events: events(first),
        messages: [say('lost')],
        clearHistory: true,
        row: { title: 'lost', lastActiveAt: 9_000 },
        accept: { id: `lost-${first}`, turn: 9 },
      };
      t.equal(await codeOf(store.commit(row.session, commit)), 'ERR_STORE_CONFLICT');
    }
    t.strictSame(await store.readSession(row.session), before);
    t.strictSame(await store.readHistory(row.session), [say('kept')]);
    t.strictSame(await store.readEvents(row.session, 0, 10), { events: events(1, 2), oldest: 1 });
    t.strictSame(await store.commit(row.session, { events: events(3), accept: { id: 'lost-1', turn: 1 } }), {
      ok: true,
    });
    const gap = [...events(4), ...events(6)];
    t.equal(
      await codeOf(store.commit(row.session, { events: gap })),
      'ERR_INTERNAL',
      'a gap inside is a fault of the caller',
    );
  });

  t.test('of two instances that commit at once exactly one wins each seq', async (t) => {
    const stores = [await backend.open(t), await backend.open(t)];
    const { session } = await newSession(stores[0] as Store);
    const won: string[] = [];
    for (let seq = 1; seq <= 25; seq++) {
      const codes = await Promise.all(
        stores.map((store, who) =>
          codeOf(store.commit(session, { events: events(seq, 1, `${who}`), messages: [say(`${seq} by ${who}`)] })),
        ),
      );
      t.strictSame(codes.toSorted(), ['ERR_STORE_CONFLICT', 'ok']);
      won.push(`${seq} by ${codes.indexOf('ok')}`);
    }
    t.strictSame(
      await stores[1]?.readHistory(session),
      won.map((text) => say(text)),
    );
    t.equal((await stores[0]?.readEvents(session, 0, 100))?.events.length, 25);
  });

  t.test('a message id is accepted once, and the newest ids are the ones remembered', async (t) => {
    const [store, other] = [await backend.open(t), await backend.open(t)];
    const { session } = await newSession(store);
    for (const [i, id] of ODD_TEXTS.entries()) {
      t.strictSame(await store.commit(session, { events: events(i + 1), accept: { id, turn: i + 1 } }), { ok: true });
      const again = await other.commit(session, {
        events: events(i + 2),
        messages: [say('twice')],
        accept: { id, turn: i + 2 },
      });
      t.strictSame(again, { ok: false, duplicateOf: i + 1 });
    }
    t.equal((await store.readSession(session))?.seq, ODD_TEXTS.length);
    t.strictSame(await store.readHistory(session), []);
    const next = events(ODD_TEXTS.length + 1);
    const oldestKept = ODD_TEXTS.length - LIMITS.maxMessageIds;
    t.strictSame(await store.commit(session, { events: next, accept: { id: ODD_TEXTS[oldestKept] ?? '', turn: 99 } }), {
      ok: false,
      duplicateOf: oldestKept + 1,
    });
    t.strictSame(
      await store.commit(session, { events: next, accept: { id: ODD_TEXTS[oldestKept - 1] ?? '', turn: 99 } }),
      { ok: true },
    );
  });

  t.test('sessions are listed last active first, by pages that neither repeat nor lose one', async (t) => {
    const store = await backend.open(t);
    const user = newRow().user;
    const rows: SessionRow[] = [];
    // Four at each time: the order of equal times counts too.
    for (let i = 0; i < 20; i++) rows.push(await newSession(store, { user, lastActiveAt: 10_000 + (i >> 2) }));
    await newSession(store, { lastActiveAt: 10_001 });
    const expected = rows
      .toSorted((a, b) => b.lastActiveAt - a.lastActiveAt || (a.session < b.session ? 1 : -1))
      .map((row) => row.session);
    for (const limit of [1, 3, 4, 7, 20, 100]) {
      const seen: string[] = [];
      let cursor: string | undefined;
      let pages = 0;
      do {
        pages += 1;
        const page = await store.listSessions(user, cursor === undefined ? { limit } : { limit, cursor });
        t.ok(page.sessions.length <= limit);
        seen.push(...page.sessions.map((row) => row.session));
        cursor = page.next;
      } while (cursor !== undefined);
      t.strictSame(seen, expected, `by ${limit}`);
      t.equal(pages, Math.ceil(rows.length / limit), 'the page that ends the list says so');
    }
    t.equal(await codeOf(store.listSessions(user, { limit: 5, cursor: 'bm8' })), 'ERR_BAD_FRAME');
    const everybody: string[] = [];
    for (let next: string | undefined = ''; next !== undefined;) {
      const page = await store.listSessions(undefined, { limit: 7, ...(next === '' ? {} : { cursor: next }) });
      everybody.push(...page.sessions.map((row) => row.session));
      next = page.next;
    }
    t.strictSame(
      everybody.filter((session) => expected.includes(session)),
      expected,
      'everybody’s sessions have the same order',
    );
    t.equal(new Set(everybody).size, everybody.length, 'each once');
  });

  t.test('paging goes on where it was while sessions move and go', async (t) => {
    const store = await backend.open(t);
    const user = newRow().user;
    const rows: SessionRow[] = [];
    for (let i = 0; i < 12; i++) rows.push(await newSession(store, { user, lastActiveAt: 20_000 - i }));
    const ids = rows.map((row) => row.session);
    const first = await store.listSessions(user, { limit: 4 });
    t.strictSame(
      first.sessions.map((row) => row.session),
      ids.slice(0, 4),
    );
    await store.deleteSession(ids[3] as string);
    await store.touchSession(ids[1] as string, 30_000);
    await store.commit(ids[6] as string, { events: events(1), row: { lastActiveAt: 31_000 } });
    const second = await store.listSessions(user, { limit: 4, cursor: first.next as string });
    t.strictSame(
      second.sessions.map((row) => row.session),
      [ids[4], ids[5], ids[7], ids[8]],
    );
    const again = await store.listSessions(user, { limit: 3 });
    t.strictSame(
      again.sessions.map((row) => row.session),
      [ids[6], ids[1], ids[0]],
    );
    t.equal(again.sessions[1]?.lastActiveAt, 30_000);
  });

  t.test('expired sessions come oldest first, without those that were active since', async (t) => {
    const store = await backend.open(t);
    const old: string[] = [];
    for (let i = 0; i < 5; i++) old.push((await newSession(store, { lastActiveAt: 10 + i })).session);
    t.strictSame(await store.expiredSessions(13, 10), old.slice(0, 3));
    t.strictSame(await store.expiredSessions(100, 2), old.slice(0, 2));
    t.strictSame(await store.expiredSessions(10, 10), []);
    await store.touchSession(old[0] as string, 5_000);
    await store.commit(old[1] as string, { events: events(1), row: { lastActiveAt: 5_000 } });
    await store.commit(old[2] as string, { events: events(1) });
    t.strictSame(await store.expiredSessions(100, 10), old.slice(2));
    await store.touchSession(old[3] as string, 1);
    t.strictSame(await store.expiredSessions(100, 10), [old[3], old[2], old[4]]);
    for (const session of old) await store.deleteSession(session);
    t.strictSame(await store.expiredSessions(100, 10), []);
  });

  t.test('a deleted session leaves no entry anywhere, and stays gone', async (t) => {
    const store = await backend.open(t);
    const { session, user } = await newSession(store);
    for (let i = 0; i < 8; i++) {
      const accept = { id: `m-${i}`, turn: i + 1 };
      await store.commit(session, {
        events: events(i + 1),
        messages: [say('x'.repeat(9000))],
        row: { lastActiveAt: 2_000 + i },
        accept,
      });
    }
    t.not((await backend.traces(session)).length, 0);
    await store.deleteSession(session);
    await store.deleteSession(session);
    await store.touchSession(session, 9_000);
    t.equal(
      await codeOf(store.commit(session, { events: events(9), row: { lastActiveAt: 9_999 } })),
      'ERR_STORE_CONFLICT',
    );
    await store.close();
    t.strictSame(await backend.traces(session), []);
    t.strictSame(await backend.traces(user), []);
  });

  t.test('close waits for operations under way, may be called twice, and ends the store', async (t) => {
    const [store, other] = [await backend.open(t), await backend.open(t)];
    const { session } = await newSession(store);
    const writes = Array.from({ length: 5 }, (_, i) =>
      store.commit(session, { events: events(i + 1), messages: [say(`${i}`)] }),
    );
    await Promise.all([store.close(), store.close()]);
    t.strictSame(
      await Promise.all(writes),
      writes.map(() => ({ ok: true })),
    );
    t.equal((await other.readHistory(session)).length, 5);
    t.equal(await codeOf(store.ping()), 'ERR_UNAVAILABLE');
    t.equal(await codeOf(store.commit(session, { events: events(6) })), 'ERR_UNAVAILABLE');
  });
}
