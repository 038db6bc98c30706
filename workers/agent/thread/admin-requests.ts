/** What operators and administrators may ask about sessions of others; the main thread has checked their role. Agent threads. */
import type { RequestHandlers } from '../../../src/shared/threads/channel.js';
import type { AgentContract } from '../contract/messages.js';
import type { AllSessionsRequest, AllSessionsResult, SessionFilter, SessionSize } from '../contract/sessions.js';
import { pendingOf, runningTurn } from '../log/progress.js';
import { noSuchSession, type Sessions } from '../session/sessions.js';
import { placeToCursor } from '../store/row-codec.js';
import type { SessionRow, Store } from '../store/store.js';
import type { SessionExits } from './session-exits.js';

/** Rows that are read for one page of a filtered list. */
const MAX_LOOKED = 2_000;
const ROWS_AT_ONCE = 100;

export interface AdminRequestsOptions {
  store: Pick<Store, 'listSessions' | 'readSession'>;
  sessions: Pick<Sessions, 'with'>;
  exits: Pick<SessionExits, 'end'>;
}

export function adminRequests({ store, sessions, exits }: AdminRequestsOptions) {
  const rowOf = async (session: string): Promise<SessionRow> => {
    const row = await store.readSession(session);
    if (!row) throw noSuchSession();
    return row;
  };
  return {
    'all-sessions': (request) => allSessions(store, request),
    'end-session': async ({ session }) => {
      const { user } = await rowOf(session);
      return sessions.with({ session, user }, (opened) => exits.end(opened));
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

async function allSessions(
  store: Pick<Store, 'listSessions'>,
  { user, limit, cursor, ...filter }: AllSessionsRequest,
): Promise<AllSessionsResult> {
  const sessions: SessionSize[] = [];
  const isFiltered = Object.values(filter).some((wanted) => wanted !== undefined);
  let next = cursor;
  for (let looked = 0; looked < MAX_LOOKED; looked += ROWS_AT_ONCE) {
    const page = { limit: isFiltered ? ROWS_AT_ONCE : limit, ...(next === undefined ? {} : { cursor: next }) };
    const found = await store.listSessions(user, page);
    for (const row of found.sessions) {
      const size = sizeOf(row);
      if (!fits(size, filter)) continue;
      sessions.push(size);
      const isLast = found.next === undefined && row === found.sessions.at(-1);
      if (sessions.length === limit) {
        return { sessions, ...(isLast ? {} : { next: placeToCursor({ at: row.lastActiveAt, session: row.session }) }) };
      }
    }
    next = found.next;
    if (next === undefined) return { sessions };
  }
  return { sessions, ...(next === undefined ? {} : { next }) };
}

function fits(
  { running, queued, pending, lastActiveAt, historyBytes = 0 }: SessionSize,
  { state, before, minBytes }: SessionFilter,
): boolean {
  if (before !== undefined && lastActiveAt >= before) return false;
  if (minBytes !== undefined && historyBytes < minBytes) return false;
  if (state === undefined) return true;
  // A turn that waits for its user does not work.
  const isOpen = running || queued > 0;
  return state === (pending > 0 ? 'waiting' : isOpen ? 'running' : 'idle');
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
