/** What operators and administrators may ask about sessions of others; the main thread has checked their role. Agent threads. */
import type { RequestHandlers } from '../../../src/shared/threads/channel.js';
import type { AgentContract } from '../contract/messages.js';
import type { SessionSize } from '../contract/sessions.js';
import { pendingOf, runningTurn } from '../log/progress.js';
import { noSuchSession, type Sessions } from '../session/sessions.js';
import type { SessionRow, Store } from '../store/store.js';

export interface AdminRequestsOptions {
  store: Pick<Store, 'listSessions' | 'readSession'>;
  sessions: Pick<Sessions, 'with'>;
}

export function adminRequests({ store, sessions }: AdminRequestsOptions) {
  const rowOf = async (session: string): Promise<SessionRow> => {
    const row = await store.readSession(session);
    if (!row) throw noSuchSession();
    return row;
  };
  return {
    'all-sessions': async ({ user, limit, cursor }) => {
      const page = await store.listSessions(user, { limit, ...(cursor === undefined ? {} : { cursor }) });
      return { sessions: page.sessions.map(sizeOf), ...(page.next === undefined ? {} : { next: page.next }) };
    },
    'session-size': async ({ session }) => sizeOf(await rowOf(session)),
    'tell-look': async ({ session, admin }) => {
      const { user } = await rowOf(session);
      const message = `the administrator ${admin} has read this session`;
      await sessions.with({ session, user }, async ({ log }) => {
        await log.commit(() => ({ events: [{ type: 'notice', code: 'support_look', message }] }));
      });
      return null;
    },
  } satisfies Partial<RequestHandlers<AgentContract>>;
}

/** Without the title, which is the beginning of the first message. */
function sizeOf(row: SessionRow): SessionSize {
  const { session, user, model, createdAt, lastActiveAt, turns, history, owner } = row;
  const running = runningTurn(row) !== undefined;
  return {
    session,
    user,
    model,
    createdAt,
    lastActiveAt,
    turns,
    ...(history && { historyBytes: history.bytes, messages: history.messages }),
    running,
    queued: row.openTurns.length - (running ? 1 : 0),
    pending: pendingOf(row).length,
    server: owner,
  };
}
