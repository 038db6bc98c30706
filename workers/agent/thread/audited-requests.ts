/** Refuses what changes a session while that cannot be recorded, and records what the session's own steps do not tell. Agent threads. */
import { audit, auditedAs, refuseUnaudited, type AuditAct } from '../../../src/shared/audit.js';
import type { RequestHandlers } from '../../../src/shared/threads/channel.js';
import type { AgentContract } from '../contract/messages.js';
import type { ActedBy, Asked, SessionRef } from '../contract/sessions.js';

type Refused =
  'submit-message' | 'answer-approval' | 'answer-elicitation' | 'reset-history' | 'restart-sandbox' | 'rename-session';
type Handlers = Pick<RequestHandlers<AgentContract>, Refused | 'delete-session'>;

/** Reading goes on, and so does stopping a turn: neither does what would have to be recorded first. */
export function auditedRequests<H extends Handlers>(handlers: H): H {
  return {
    ...handlers,
    'submit-message': recorded(handlers['submit-message']),
    'answer-approval': recorded(handlers['answer-approval']),
    'answer-elicitation': recorded(handlers['answer-elicitation']),
    'reset-history': recorded(handlers['reset-history']),
    'restart-sandbox': recorded(handlers['restart-sandbox']),
    'rename-session': recorded(handlers['rename-session']),
    'delete-session': recorded(noted('session_deleted', handlers['delete-session'])),
  };
}

function recorded<R, T>(handle: (request: R) => T | Promise<T>): (request: R) => T | Promise<T> {
  return (request) => {
    refuseUnaudited();
    return handle(request);
  };
}

/** An administrator's act is theirs, not the owner's. Without both it is one of a server of the version before, which records it there. */
export function recordAct(what: AuditAct, { user, session, who, by }: SessionRef & Asked & ActedBy): void {
  if (by) audit({ what, ...by, session, about: { owner: user } });
  else if (who) audit({ what, ...auditedAs(user, who), session });
}

function noted<R extends SessionRef & Asked & ActedBy, T>(
  what: AuditAct,
  handle: (request: R) => T | Promise<T>,
): (request: R) => Promise<T> {
  return async (request) => {
    const result = await handle(request);
    recordAct(what, request);
    return result;
  };
}
