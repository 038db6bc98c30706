/** What the audit log tells of a session's step: messages accepted, calls asked about, allowed, denied and ended. Pure; agent threads. */
import type { AuditedWho, AuditEntry } from '../../../src/shared/audit.js';
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { SessionRow } from '../store/store.js';
import { runningTurn } from './progress.js';

export interface AuditedCall {
  name: string;
  server: string;
  /** What has decided: a rule, the default, an earlier yes. */
  rule?: string;
}

/** What a step's events do not tell. */
export interface StepAudit {
  /** Who has asked for the step. Absent: the turn does it, or a deadline. */
  who?: AuditedWho;
  /** Calls by their ids, where neither the row nor an event of the step names them. */
  calls?: ReadonlyMap<string, AuditedCall>;
}

/** `row`: as it is before the step. */
export function auditedStep(row: SessionRow, events: readonly DurableEvent[], audit: StepAudit = {}): AuditEntry[] {
  const calls = new Map<string, AuditedCall>(runningTurn(row)?.progress.calls.map((call) => [call.callId, call]));
  for (const event of events) {
    if (event.type === 'tool:start' || event.type === 'tool:approval_required') calls.set(event.callId, event);
  }
  const of = { ...audit.who, user: row.user, session: row.session };
  const told = (callId: string): Record<string, string | undefined> => {
    const { name, server, rule } = { ...calls.get(callId), ...audit.calls?.get(callId) };
    return { callId, server, tool: name, rule };
  };
  return events.flatMap((event): AuditEntry[] => {
    switch (event.type) {
      case 'message:accepted':
        return [{ ...of, what: 'message_accepted', about: { turn: event.turn } }];
      case 'tool:approval_required': {
        const { callId, turn, args } = event;
        return [{ ...of, what: 'tool_asked', about: { turn, ...told(callId) }, args }];
      }
      case 'tool:approved': {
        const { callId, by, args } = event;
        return [{ ...of, what: 'tool_allowed', about: { ...told(callId), by, edited: args && true } }];
      }
      case 'tool:denied':
        return [{ ...of, what: 'tool_denied', outcome: 'refused', about: { ...told(event.callId), by: event.by } }];
      case 'tool:result': {
        const { callId, ok, ms } = event;
        return [{ ...of, what: 'tool_done', outcome: ok ? 'ok' : 'failed', about: { ...told(callId), ms } }];
      }
      case 'history:cleared':
        return [{ ...of, what: 'history_cleared' }];
      default:
        return [];
    }
  });
}
