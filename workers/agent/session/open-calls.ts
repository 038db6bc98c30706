/** Closes calls without running them: denied by the user, expired, stopped, or lost in a crash. Pure; agent threads. */
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { OpenCall, TranscriptMessage } from '../store/store.js';
import { runningTurn, waitsForApproval, waitsForInput, type WithTurns } from '../log/progress.js';
import { denialResult, denialText, resultMessage, type Denial } from '../turn/result-messages.js';

export interface ClosedCalls {
  events: DurableEvent[];
  messages: TranscriptMessage[];
  callIds: string[];
}

/** The event and the result of a call that will not run, or that ran to an unknown point. */
function closeCall(call: OpenCall, denial: Denial, now: number): { event: DurableEvent; result: unknown } {
  const { callId, name, server, startedAt = now } = call;
  const denied = { type: 'tool:denied' as const, callId, name, server };
  const result = denialResult(callId, denial);
  if (!waitsForApproval(call)) {
    const content = [{ type: 'text' as const, text: denialText(denial) }];
    return { event: { type: 'tool:result', callId, ok: false, content, ms: Math.max(0, now - startedAt) }, result };
  }
  switch (denial.by) {
    case 'user':
      return { event: { ...denied, ...denial }, result };
    case 'timeout':
    case 'policy':
      return { event: { ...denied, by: denial.by }, result };
    case 'removal':
      return { event: { ...denied, by: 'policy', reason: denialText(denial) }, result };
    default:
      return { event: { ...denied, by: 'user', reason: 'the turn was stopped' }, result };
  }
}

export function closeCalls(
  closed: readonly { call: OpenCall; denial: Denial }[],
  now: number = Date.now(),
): ClosedCalls {
  const parts = closed.map(({ call, denial }) => closeCall(call, denial, now));
  return {
    events: parts.map(({ event }) => event),
    messages: parts.length > 0 ? [resultMessage(parts.map(({ result }) => result))] : [],
    callIds: closed.map(({ call }) => call.callId),
  };
}

/** Closes all open calls of the running turn, which ends. */
export function closeAll(row: WithTurns): ClosedCalls {
  const calls = runningTurn(row)?.progress.calls ?? [];
  return closeCalls(calls.map((call) => ({ call, denial: denialOf(call) })));
}

function denialOf(call: OpenCall): Denial {
  if (waitsForApproval(call)) return { by: 'stop' };
  return waitsForInput(call) ? { by: 'silence' } : { by: 'crash' };
}

/** Closes calls that nobody has answered in time; with `crashed` also those that ran when their thread died. */
export function closeOverdue(row: WithTurns, crashed: boolean, now = Date.now()): ClosedCalls {
  const calls = runningTurn(row)?.progress.calls ?? [];
  return closeCalls(
    calls.flatMap((call): { call: OpenCall; denial: Denial }[] => {
      if (!waitsForApproval(call)) return crashed && !waitsForInput(call) ? [{ call, denial: { by: 'crash' } }] : [];
      return call.expiresAt <= now ? [{ call, denial: { by: 'timeout' } }] : [];
    }),
    now,
  );
}
