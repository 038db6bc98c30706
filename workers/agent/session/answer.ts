/** A person's answer to a call: what it changes, as one step. Pure; agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { OpenCall, SessionRow } from '../store/store.js';
import type { AnswerApprovalRequest } from '../contract/sessions.js';
import { closeCalls } from './open-calls.js';
import { runningTurn, pendingApprovals, withoutCalls, withProgress } from '../log/progress.js';
import type { Step } from '../log/session-log.js';
import { startEvent } from '../turn/tool-calls.js';
import type { AgentParts, StartedCall } from '../turn/turn.js';

export interface AnswerPlan {
  step: Step;
  /** To run once the step is stored. */
  starts: StartedCall[];
}

/** ERR_CALL_NOT_PENDING, ERR_TOOL_ARGS. */
export function answerStep(
  row: SessionRow,
  answer: AnswerApprovalRequest,
  { toolSet, toolArgs }: Pick<AgentParts, 'toolSet' | 'toolArgs'>,
): AnswerPlan {
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
  if (edited) {
    const tool = toolSet(row).of(call.server, call.name);
    const problem = tool ? toolArgs.problem(tool.definition, args) : 'the tool is not there any more';
    if (problem) throw new FairleadError('ERR_TOOL_ARGS', `the arguments do not fit the tool's schema: ${problem}`);
  }
  const key = allowKeyOf(call);
  // «Yes, always» answers the tool's other calls too.
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

function started({ expiresAt: _expiresAt, ...call }: OpenCall): StartedCall {
  return call;
}

/** One that an earlier version has stored has no other. */
function allowKeyOf({ allowKey, server, name }: OpenCall): string {
  return allowKey ?? `${server}/${name}`;
}
