/** What waits for a user in all of their sessions, and one call of it with the schema of its tool. Agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import type { RequestHandlers } from '../../../src/shared/threads/channel.js';
import { toJson } from '../../../src/shared/to-json.js';
import type { AgentContract } from '../contract/messages.js';
import type { ListWaitingResult, WaitingItem } from '../contract/sessions.js';
import { pendingOf } from '../log/progress.js';
import type { Sessions } from '../session/sessions.js';
import type { SessionRow, Store } from '../store/store.js';
import type { AgentParts } from '../turn/turn.js';

/** Sessions that are looked through, last active first. */
const MAX_LOOKED = 500;
const ROWS_AT_ONCE = 100;
/** Of the JSON of one answer; what waits first is in it, however long. */
const MAX_CHARACTERS = 4 * 1_048_576;

export interface WaitingRequestsOptions {
  store: Pick<Store, 'listSessions'>;
  sessions: Pick<Sessions, 'read'>;
  parts: { config: Pick<AgentParts['config'], 'approvals'>; toolSet: AgentParts['toolSet'] };
}

export function waitingRequests({ store, sessions, parts }: WaitingRequestsOptions) {
  return {
    'list-waiting': async ({ user }) => {
      const { rows, all } = await waitingRows(store, user);
      return oldestFirst(rows, all, parts.config.approvals.timeoutMs);
    },
    'read-call': async ({ callId, ...of }) => {
      const row = await sessions.read(of);
      const call = pendingOf(row).find((each) => each.kind === 'approval' && each.callId === callId);
      if (call?.kind !== 'approval') {
        throw new FairleadError('ERR_CALL_NOT_PENDING', `call ${callId} is not waiting for an answer`);
      }
      const schema = parts.toolSet(row).of(call.server, call.name)?.definition.inputSchema;
      return { ...call, ...(schema && { schema }) };
    },
  } satisfies Partial<RequestHandlers<AgentContract>>;
}

async function waitingRows(
  store: Pick<Store, 'listSessions'>,
  user: string,
): Promise<{ rows: SessionRow[]; all: boolean }> {
  const rows: SessionRow[] = [];
  let cursor: string | undefined;
  for (let looked = 0; looked < MAX_LOOKED; looked += ROWS_AT_ONCE) {
    const page = { limit: ROWS_AT_ONCE, ...(cursor !== undefined && { cursor }) };
    const { sessions, next } = await store.listSessions(user, page);
    rows.push(...sessions.filter((row) => pendingOf(row).length > 0));
    cursor = next;
    if (cursor === undefined) return { rows, all: true };
  }
  return { rows, all: false };
}

/** A call was asked `timeoutMs` before its deadline; a question when its session was last used, or later. */
function oldestFirst(rows: readonly SessionRow[], all: boolean, timeoutMs: number): ListWaitingResult {
  const found = rows.flatMap((row) =>
    pendingOf(row).map((pending) => ({
      item: { session: row.session, title: row.title, ...pending } satisfies WaitingItem,
      at: pending.kind === 'approval' ? pending.expiresAt - timeoutMs : row.lastActiveAt,
    })),
  );
  found.sort((one, other) => one.at - other.at);
  let left = MAX_CHARACTERS;
  const kept = found.filter(({ item }, place) => {
    left -= toJson(item).length;
    return left >= 0 || place === 0;
  });
  const waiting = kept.map(({ item }) => item);
  return { waiting, ...((!all || kept.length < found.length) && { more: true }) };
}
