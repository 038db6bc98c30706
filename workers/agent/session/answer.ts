/** Turns the user's answer to a call into one step. Pure; agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { OpenCall, SessionRow } from '../store/store.js';
import type { AnswerApprovalRequest } from '../contract/sessions.js';
import { closeCalls } from './open-calls.js';
import { runningTurn, pendingApprovals, withoutCalls, withProgress } from '../log/progress.js';
import type { Step } from '../log/session-log.js';
import { judge, type JudgeParts } from '../mcp/calls/judge.js';
import { startEvent } from '../turn/tool-calls.js';
import type { AgentParts, StartedCall } from '../turn/turn.js';

type AnswerParts = JudgeParts & Pick<AgentParts, 'toolSet'>;

export interface AnswerPlan {
  step: Step;
  /** Calls to run once the step is stored. */
  starts: StartedCall[];
}

/** ERR_CALL_NOT_PENDING; for edited arguments ERR_TOOL_ARGS, ERR_DENIED and ERR_UNAVAILABLE, which leave the call waiting. */
export function answerStep(row: SessionRow, answer: AnswerApprovalRequest, parts: AnswerParts): AnswerPlan {
  const running = runningTurn(row);
  const call = pendingApprovals(row).find(({ callId }) => callId === answer.callId);
  if (!running || !call) {
    throw new FairleadError('ERR_CALL_NOT_PENDING', `call ${answer.callId} is not waiting for an answer`);
  }
  const lastActiveAt = Date.now();
  if (!answer.approved) {
    const denial = { by: 'user' as const, ...(answer.reason ? { reason: answer.reason } : {}) };
    const { events, messages, callIds } = closeCalls([{ call, denial }]);
    const openTurns = withoutCalls(row, running.turn, callIds);
    return { step: { events, messages, row: { lastActiveAt, openTurns } }, starts: [] };
  }
  const edited = answer.args !== undefined;
  const args = answer.args ?? call.args;
  const key = answer.args ? editedKey(row, call, answer.args, parts) : allowKeyOf(call);
  // A yes for the session answers the tool's other waiting calls too.
  const same = answer.remember
    ? pendingApprovals(row).filter((other) => other.callId !== call.callId && allowKeyOf(other) === key)
    : [];
  const first = { ...started(call), args, ...(edited ? { edited } : {}) };
  const starts: StartedCall[] = [first, ...same.map(started)];
  const events: DurableEvent[] = [
    { type: 'tool:approved', callId: call.callId, by: 'user', ...(edited ? { args } : {}) },
    startEvent(first),
    ...same.flatMap((other): DurableEvent[] => [
      { type: 'tool:approved', callId: other.callId, by: 'policy' },
      startEvent(other),
    ]),
  ];
  const calls = running.progress.calls.map((open) => starts.find(({ callId }) => callId === open.callId) ?? open);
  return {
    step: {
      events,
      row: {
        lastActiveAt,
        openTurns: withProgress(row, running.turn, { calls }),
        ...(answer.remember && !row.allowed.includes(key) ? { allowed: [...row.allowed, key] } : {}),
      },
    },
    starts,
  };
}

/** Edited arguments are judged anew: they need not fit the schema, and may name another server. */
function editedKey(
  row: SessionRow,
  { server, name }: OpenCall,
  args: Record<string, unknown>,
  parts: AnswerParts,
): string {
  const judgement = judge(parts, parts.toolSet(row).of(server, name), args, row.allowed);
  switch (judgement.verdict) {
    case 'unknown':
      throw new FairleadError('ERR_TOOL_ARGS', `the tool ${name} is not there any more`);
    case 'gone':
      throw new FairleadError('ERR_UNAVAILABLE', judgement.text);
    case 'bad-args':
      throw new FairleadError('ERR_TOOL_ARGS', `the arguments do not fit the tool's schema: ${judgement.problem}`);
    case 'deny':
      throw new FairleadError('ERR_DENIED', 'the approval rules deny this call with these arguments');
    case 'allow':
    case 'ask':
      return judgement.key;
  }
}

function started({ expiresAt: _expiresAt, ...call }: OpenCall): StartedCall {
  return call;
}

/** Calls that were stored before allowKey existed have none. */
function allowKeyOf({ allowKey, server, name }: OpenCall): string {
  return allowKey ?? `${server}/${name}`;
}
