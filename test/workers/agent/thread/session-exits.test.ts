/** How sessions leave a thread, with everything around it in memory. */
import pino from 'pino';
import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { CLOSE } from '../../../../src/shared/protocol.js';
import { threadOf } from '../../../../src/shared/threads/route.js';
import { Outbox } from '../../../../workers/agent/log/outbox.js';
import type { Session } from '../../../../workers/agent/session/session.js';
import { SessionExits, type SessionExitsOptions } from '../../../../workers/agent/thread/session-exits.js';

const THREADS = 2;
const DAY_MS = 86_400_000;
const names = Array.from({ length: 20 }, (_, index) => `session-${index}`);
const [mine = '', mineToo = ''] = names.filter((session) => threadOf(session, THREADS) === 0);
const [theirs = ''] = names.filter((session) => threadOf(session, THREADS) === 1);

/** What the thread did, in order. */
function exitsOf(options: Partial<SessionExitsOptions>): { exits: SessionExits; done: unknown[][] } {
  const done: unknown[][] = [];
  const note =
    (name: string) =>
    async (...args: unknown[]): Promise<never> => {
      done.push([name, ...args]);
      return null as never;
    };
  const exits = new SessionExits({
    data: { index: 0, threads: THREADS, config: { store: { sessionTtlMs: DAY_MS }, approvals: { timeoutMs: 1 } } },
    channel: { request: note('request'), notify: (name, body) => void done.push([name, body]) },
    store: { deleteSession: note('delete'), deleteExpired: async () => true, expiredSessions: async () => [] },
    sessions: { forget: () => undefined, isActive: () => false },
    serving: { isActive: () => false, release: () => undefined },
    servers: { releaseSession: note('release'), hibernateSession: note('hibernate') },
    usage: { settle: note('usage') },
    outbox: new Outbox(() => undefined),
    log: pino({ level: 'silent' }),
    ...options,
  } as SessionExitsOptions);
  return { exits, done };
}

async function hangs(): Promise<never> {
  throw new FairleadError('ERR_UNAVAILABLE', 'Docker hangs');
}

t.test('the sweep deletes sessions of its own thread, and asks for enough to find them', async (t) => {
  let asked = 0;
  const judged: string[] = [];
  const { exits, done } = exitsOf({
    store: {
      deleteSession: async () => undefined,
      expiredSessions: async (_before, limit) => {
        asked = limit;
        return [theirs, mine, mineToo];
      },
      // Somebody has just used the other one.
      deleteExpired: async (session) => judged.push(session) > 0 && session === mine,
    },
  });
  t.same(await exits.sweep({ limit: 5 }), { deleted: 1 });
  t.equal(asked, 5 * THREADS);
  t.same(judged, [mine, mineToo]);
  t.same(done, [
    ['session-gone', { session: mine, closeCode: CLOSE.noSuchSession, reason: 'the session has expired' }],
    ['release', mine],
    ['request', 'release-session', { session: mine }],
  ]);
});

t.test('a session that moves to another server has its workspaces saved here, and keeps its files', async (t) => {
  const { exits, done } = exitsOf({});
  await exits.leave(mine, 'moved');
  t.match(done, [
    ['session-gone', { session: mine, closeCode: CLOSE.draining }],
    ['hibernate', mine],
  ]);
});

t.test('a session that another server has deleted is released here; a failure is left to the reconcile', async (t) => {
  const { exits, done } = exitsOf({});
  await exits.leave(mine, 'deleted');
  t.match(done, [
    ['session-gone', { session: mine, closeCode: CLOSE.noSuchSession }],
    ['release', mine],
    ['request', 'release-session', { session: mine }],
  ]);
  const failing = exitsOf({ channel: { request: hangs, notify: () => undefined } });
  await failing.exits.leave(mine, 'deleted');
  t.same(failing.done, [['release', mine]]);
});

t.test('what a session has used is written before the session is gone', async (t) => {
  const { exits, done } = exitsOf({});
  const session = { id: mine, close: async () => done.push(['close']), log: { fail: () => undefined } };
  await exits.delete(session as unknown as Session);
  t.same(
    done.map(([name]) => name),
    ['close', 'usage', 'release', 'request', 'delete', 'session-gone'],
  );
});
