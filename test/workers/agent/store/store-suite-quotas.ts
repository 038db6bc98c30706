/** The store suite: what is counted of a user, over sessions, instances and threads. */
import { randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import type { Counting, CommitCount } from '../../../../workers/agent/store/quota-counters.js';
import type { Commit, CommitResult, SessionRow, Store } from '../../../../workers/agent/store/store.js';
import { codeOf, newRow, newSession, type Backend } from './store-backend.js';

const COUNTING: Counting = { turns: true, history: true, turnLeaseMs: 60_000 };
const NO_LIMITS = { maxTurns: 0, maxMessagesPerMinute: 0, maxHistoryBytes: 0, bytes: 10 };

type Limits = Partial<NonNullable<CommitCount['accepts']>>;

/** A commit that leaves the session with so many open turns. */
function step(row: SessionRow, open: number, more: Partial<Commit> = {}): Commit {
  const openTurns = Array.from({ length: open }, (_, index) => ({ turn: index + 1 }));
  return { events: [], ...more, row: { openTurns, ...more.row }, count: { user: row.user } };
}

function accept(row: SessionRow, open: number, limits: Limits = {}): Commit {
  return { ...step(row, open), count: { user: row.user, accepts: { ...NO_LIMITS, ...limits } } };
}

function limitOf(result: CommitResult): string {
  if (result.ok) return 'ok';
  return 'over' in result ? result.over.limit : 'duplicate';
}

async function sessionsOf(store: Store, user: string, count: number): Promise<SessionRow[]> {
  return Promise.all(Array.from({ length: count }, () => newSession(store, { user })));
}

function newUser(): string {
  return `user {*}\0 ${randomUUID()}`;
}

export function quotaSuite(t: Test, backend: Backend): void {
  t.test('a user who is forgotten has nothing counted, another one all of theirs', async (t) => {
    const store = await backend.open(t, { counting: COUNTING });
    const [user, other] = [newUser(), newUser()];
    for (const each of [user, other]) {
      const [row] = (await sessionsOf(store, each, 1)) as [SessionRow];
      await store.commit(row.session, accept(row, 1, { maxMessagesPerMinute: 10 }));
      await store.counters.claimSandbox(
        { user: each, session: row.session, server: 's' },
        { maxSandboxes: 5, maxWorkspaceBytes: 0 },
      );
      if (each === user) await store.deleteSession(row.session);
    }
    await store.counters.forgetUser(user);
    await store.counters.forgetUser(user);
    const none = { sessions: 0, turns: 0, sandboxes: 0, workspaceBytes: 0, historyBytes: 0 };
    t.same(await store.counters.readCounts(user), none);
    t.match(await store.counters.readCounts(other), { sessions: 1, turns: 1, sandboxes: 1 });
  });

  t.test('turns at once are counted over all sessions and instances, and end with their turn or session', async (t) => {
    const [store, other] = [
      await backend.open(t, { counting: COUNTING }),
      await backend.open(t, { counting: COUNTING }),
    ];
    const user = newUser();
    const [a, b, c] = (await sessionsOf(store, user, 3)) as [SessionRow, SessionRow, SessionRow];
    const limits = { maxTurns: 3 };
    t.equal(limitOf(await store.commit(a.session, accept(a, 1, limits))), 'ok');
    t.equal(limitOf(await other.commit(b.session, accept(b, 1, limits))), 'ok');
    t.equal(limitOf(await store.commit(a.session, accept(a, 2, limits))), 'ok');
    const refused = await other.commit(b.session, {
      ...accept(b, 2, limits),
      row: { openTurns: [{ turn: 1 }, { turn: 2 }], title: 'lost' },
    });
    t.strictSame(refused, { ok: false, over: { limit: 'maxTurns', max: 3, used: 3 } });
    t.match(await store.readSession(b.session), { title: '', openTurns: [{ turn: 1 }] }, 'nothing was written');
    t.equal((await store.counters.readCounts(user)).turns, 3);
    t.equal(limitOf(await store.commit(c.session, accept(c, 1, limits))), 'maxTurns');
    const [neighbour] = await sessionsOf(store, newUser(), 1);
    t.equal(limitOf(await store.commit(neighbour!.session, accept(neighbour!, 1, limits))), 'ok', 'nobody else waits');

    await store.commit(a.session, step(a, 1));
    t.equal(limitOf(await store.commit(c.session, accept(c, 1, limits))), 'ok', 'a turn has ended');
    t.equal(limitOf(await other.commit(b.session, accept(b, 2, limits))), 'maxTurns');
    await store.deleteSession(c.session);
    t.equal(limitOf(await other.commit(b.session, accept(b, 2, limits))), 'ok', 'a session was deleted');
    t.equal(await store.deleteExpired(a.session, 5_000, 5_000), true);
    t.equal((await store.counters.readCounts(user)).turns, 2, 'and so is one that expires');
  });

  t.test('of many messages at once on two instances exactly as many are accepted as the limit says', async (t) => {
    const stores = [await backend.open(t, { counting: COUNTING }), await backend.open(t, { counting: COUNTING })];
    const user = newUser();
    const rows = await sessionsOf(stores[0]!, user, 40);
    const results = await Promise.all(
      rows.map((row, index) =>
        stores[index % 2]!.commit(row.session, accept(row, 1, { maxTurns: 7, maxMessagesPerMinute: 9 })),
      ),
    );
    t.equal(results.filter(({ ok }) => ok).length, 7);
    t.equal((await stores[0]!.counters.readCounts(user)).turns, 7);
  });

  t.test('open turns of a server that is gone count no more after their lease', async (t) => {
    const store = await backend.open(t, { counting: { ...COUNTING, turnLeaseMs: 1 } });
    const [a, b] = (await sessionsOf(store, newUser(), 2)) as [SessionRow, SessionRow];
    const limits = { maxTurns: 1 };
    t.equal(limitOf(await store.commit(a.session, accept(a, 1, limits))), 'ok');
    for (const began = Date.now(); Date.now() < began + 5;) await store.ping();
    t.equal(limitOf(await store.commit(b.session, accept(b, 1, limits))), 'ok');
  });

  t.test('so many messages are accepted in any minute, and the refusal says when the next one is', async (t) => {
    const [store, other] = [
      await backend.open(t, { counting: COUNTING }),
      await backend.open(t, { counting: COUNTING }),
    ];
    const user = newUser();
    const [a, b] = (await sessionsOf(store, user, 2)) as [SessionRow, SessionRow];
    const limits = { maxMessagesPerMinute: 2 };
    const before = Date.now();
    t.equal(limitOf(await store.commit(a.session, accept(a, 0, limits))), 'ok');
    t.equal(limitOf(await other.commit(b.session, accept(b, 0, limits))), 'ok');
    const result = await store.commit(a.session, accept(a, 0, limits));
    t.match(result, { ok: false, over: { limit: 'maxMessagesPerMinute', max: 2, used: 2 } });
    const { resetAt = 0 } = result.ok || !('over' in result) ? {} : result.over;
    t.ok(resetAt >= before + 60_000 - 1_000 && resetAt <= Date.now() + 60_000, 'a minute after the first of the two');
    t.equal(
      limitOf(await store.commit(a.session, accept(a, 0, { maxMessagesPerMinute: 3 }))),
      'ok',
      'the limit was raised',
    );
    t.equal(limitOf(await store.commit(a.session, accept(a, 0, { maxMessagesPerMinute: 1 }))), 'maxMessagesPerMinute');
    t.equal(limitOf(await store.commit(a.session, accept(a, 0))), 'ok', 'without a limit nothing is asked');
    await store.commit(a.session, step(a, 0));
    t.equal(
      limitOf(await store.commit(a.session, accept(a, 0, { maxMessagesPerMinute: 4 }))),
      'ok',
      'other steps are no messages',
    );
  });

  t.test('bytes of history are the sum of all sessions, and go with a clear and a session', async (t) => {
    const store = await backend.open(t, { counting: COUNTING });
    const user = newUser();
    const [a, b] = (await sessionsOf(store, user, 2)) as [SessionRow, SessionRow];
    const write = (row: SessionRow, bytes: number): Promise<CommitResult> =>
      store.commit(row.session, step(row, 0, { row: { history: { bytes, messages: 1, clears: 0 } } }));
    await write(a, 600);
    await write(b, 300);
    await write(b, 350);
    t.equal((await store.counters.readCounts(user)).historyBytes, 950);
    const limits = { maxHistoryBytes: 1_000, bytes: 51 };
    const refused = await store.commit(a.session, accept(a, 0, limits));
    t.strictSame(refused, { ok: false, over: { limit: 'maxHistoryBytes', max: 1_000, used: 950 } });
    t.equal(limitOf(await store.commit(a.session, accept(a, 0, { ...limits, bytes: 50 }))), 'ok');
    await write(a, 0);
    t.equal(limitOf(await store.commit(a.session, accept(a, 0, limits))), 'ok');
    await store.deleteSession(b.session);
    await store.deleteSession(b.session);
    t.equal((await store.counters.readCounts(user)).historyBytes, 0);
  });

  t.test('what was stored before anything was counted counts after the user’s next step', async (t) => {
    const [before, store] = [await backend.open(t), await backend.open(t, { counting: COUNTING })];
    const user = newUser();
    const [a, b] = (await sessionsOf(before, user, 2)) as [SessionRow, SessionRow];
    for (const row of [a, b]) {
      await before.commit(row.session, step(row, 0, { row: { history: { bytes: 400, messages: 1, clears: 0 } } }));
    }
    t.equal((await store.counters.readCounts(user)).historyBytes, 0);
    const written = { openTurns: [], history: { bytes: 500, messages: 2, clears: 0 } };
    await store.commit(a.session, { ...accept(a, 0, { maxHistoryBytes: 10_000 }), row: written });
    while ((await store.counters.readCounts(user)).historyBytes < 900);
    t.equal((await store.counters.readCounts(user)).historyBytes, 900);
    await before.deleteSession(b.session);
    t.equal((await store.counters.readCounts(user)).historyBytes, 500, 'also where the counting is off again');
  });

  t.test('a user has so many sessions, and one that is deleted makes room', async (t) => {
    const [store, other] = [await backend.open(t), await backend.open(t)];
    const user = newUser();
    const made = newRow({ user });
    await store.createSession(made, 2);
    const codes = await Promise.all(
      [other, store, other].map((each) => codeOf(each.createSession(newRow({ user }), 2))),
    );
    t.strictSame(codes.toSorted(), ['ERR_QUOTA', 'ERR_QUOTA', 'ok']);
    const refused = newRow({ user });
    t.equal(await codeOf(store.createSession(refused, 2)), 'ERR_QUOTA');
    t.equal(await store.readSession(refused.session), undefined);
    t.strictSame(await backend.traces(refused.session), []);
    await store.createSession(newRow(), 2);
    await store.deleteSession(made.session);
    t.equal((await store.listSessions(user, { limit: 10 })).sessions.length, 1);
    t.equal(await codeOf(store.createSession(newRow({ user }), 2)), 'ok');
    t.equal(await codeOf(store.createSession(newRow({ user }), 0)), 'ok', '0 is no limit');
  });

  t.test('sandboxes are claimed once each, and given back', async (t) => {
    const [{ counters }, { counters: other }] = [await backend.open(t), await backend.open(t)];
    const user = newUser();
    const claim = (session: string, server = 'workspace') => ({ user, session, server });
    const limits = { maxSandboxes: 2, maxWorkspaceBytes: 0 };
    t.equal(await counters.claimSandbox(claim('a'), limits), undefined);
    t.equal(await other.claimSandbox(claim('a'), limits), undefined, 'the same one again');
    t.equal(await other.claimSandbox(claim('a', 'notes'), limits), undefined);
    t.strictSame(await counters.claimSandbox(claim('b'), limits), { limit: 'maxSandboxes', max: 2, used: 2 });
    t.equal(await counters.claimSandbox({ ...claim('b'), user: newUser() }, limits), undefined);
    await counters.releaseSandbox(claim('a'));
    await counters.releaseSandbox(claim('a'));
    t.equal(await counters.claimSandbox(claim('b'), limits), undefined);
    await counters.renewSandboxes([claim('b'), claim('c')]);
    t.equal((await other.readCounts(user)).sandboxes, 3, 'a sandbox that is there counts, whatever was forgotten');
  });

  t.test('a user over the bytes of saved workspaces gets no new sandbox, and the old ones back', async (t) => {
    const store = await backend.open(t);
    const { counters } = store;
    const user = newUser();
    const [a, b] = (await sessionsOf(store, user, 2)) as [SessionRow, SessionRow];
    await counters.noteSaved(a.session, 'workspace', 900);
    await counters.noteSaved(a.session, 'notes', 50);
    await counters.noteSaved(a.session, 'workspace', 1_000);
    await counters.noteSaved('nobody', 'workspace', 1_000);
    t.equal((await counters.readCounts(user)).workspaceBytes, 1_050);
    const limits = { maxSandboxes: 0, maxWorkspaceBytes: 1_050 };
    const claim = (row: SessionRow) =>
      counters.claimSandbox({ user, session: row.session, server: 'workspace' }, limits);
    t.strictSame(await claim(b), { limit: 'maxWorkspaceBytes', max: 1_050, used: 1_050 });
    t.equal(await claim(a), undefined, 'its files are wanted back, if only to delete some');
    await counters.noteSaved(a.session, 'notes', 0);
    t.equal(await claim(b), undefined);
    await store.deleteSession(a.session);
    t.equal((await counters.readCounts(user)).workspaceBytes, 0);
    t.match(await store.readSession(b.session), { user });
  });
}
