/** Turns the user's answer to a call into one step. Pure; agent threads. */
import { auditedAs } from '../../../src/shared/audit.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { OpenCall, SessionRow } from '../store/store.js';
import type { AnswerApprovalRequest } from '../contract/sessions.js';
import { closeCalls } from './open-calls.js';
import { runningTurn, pendingApprovals, withCall, withoutCalls, withProgress } from '../log/progress.js';
import type { Step } from '../log/session-log.js';
import { judge, pinRefusal, type Judgement, type JudgeParts } from '../mcp/calls/judge.js';
import { permissionKey, ruledTool } from '../mcp/calls/policy.js';
import { definitionHash } from '../../../src/shared/definition-hash.js';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';
import { BUILT_IN } from '../mcp/catalogue/built-in.js';
import type { KnownTool } from '../mcp/catalogue/tool-names.js';
import type { Denial } from '../turn/result-messages.js';
import { withAllowed } from '../turn/shown-tool.js';
import { approvalOf, startEvent } from '../turn/tool-calls.js';
import type { AgentParts, StartedCall } from '../turn/turn.js';

type AnswerParts = JudgeParts & Pick<AgentParts, 'toolSet' | 'config'>;
type PendingCall = OpenCall & { expiresAt: number };

export interface AnswerPlan {
  /** Absent: nothing changes. */
  step?: Step;
  /** Calls to run once the step is stored. */
  starts: StartedCall[];
  /** For the caller, once the step is stored: why nothing ran. */
  refusal?: FairleadError;
}

/**
 * ERR_CALL_NOT_PENDING; for a yes also ERR_TOOL_ARGS, ERR_DENIED and ERR_UNAVAILABLE: these leave the call waiting. The refusal of
 * a plan is ERR_CALL_CHANGED.
 */
export function answerStep(
  row: SessionRow,
  answer: AnswerApprovalRequest,
  parts: AnswerParts,
  edit?: JudgedEdit,
): AnswerPlan {
  const running = runningTurn(row);
  const call = pendingApprovals(row).find(({ callId }) => callId === answer.callId);
  if (!running || !call) {
    throw new FairleadError('ERR_CALL_NOT_PENDING', `call ${answer.callId} is not waiting for an answer`);
  }
  const lastActiveAt = Date.now();
  const audit = { who: auditedAs(row.user, answer.who) };
  const tool = parts.toolSet(row).of(call.server, call.name);
  const denial = denialOf(answer, call, tool, parts);
  if (denial) {
    const { events, messages, callIds } = closeCalls([{ call, denial }]);
    const openTurns = withoutCalls(row, running.turn, callIds);
    return { step: { events, messages, row: { lastActiveAt, openTurns }, audit }, starts: [] };
  }
  if (!tool) throw toolGone(call);
  // Its definition may have changed while the call waited.
  if (parts.policy.pinned(tool)?.isRefused) throw new FairleadError('ERR_DENIED', pinRefusal(parts.policy, tool));
  const now = permissionKey(ruledTool(tool, call.args));
  if (call.allowKey !== now) return askAnew(row, { turn: running.turn, call, tool, key: now }, parts);
  if (answer.definition !== undefined && answer.definition !== definitionHash(tool.definition)) {
    return { starts: [], refusal: changed(call) };
  }
  const edited = answer.args !== undefined;
  const args = answer.args ?? call.args;
  const key = answer.args ? editedKey(call, tool, edit) : now;
  // A yes for the session answers the tool's other waiting calls too.
  const same = answer.remember
    ? pendingApprovals(row).filter((other) => other.callId !== call.callId && other.allowKey === key)
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
      audit,
      row: {
        lastActiveAt,
        openTurns: withProgress(row, running.turn, { calls }),
        seen: withAllowed(row.seen, tool),
        ...(answer.remember && !row.allowed.includes(key) ? { allowed: [...row.allowed, key] } : {}),
      },
    },
    starts,
  };
}

/** The user says no, or a yes comes too late. */
function denialOf(
  { approved, reason }: AnswerApprovalRequest,
  { server }: OpenCall,
  tool: KnownTool | undefined,
  { config }: AnswerParts,
): Denial | undefined {
  if (!approved) return { by: 'user', ...(reason ? { reason } : {}) };
  const isThere = tool !== undefined || server === BUILT_IN || Object.hasOwn(config.mcpServers, server);
  return isThere ? undefined : { by: 'removal', server };
}

/** The tool is not what the user was shown: their yes runs nothing, and the call waits for another one. */
function askAnew(
  row: SessionRow,
  { turn, call, tool, key }: { turn: number; call: PendingCall; tool: KnownTool; key: string },
  { config, policy }: AnswerParts,
): AnswerPlan {
  const { tool: _tool, allowKey: _allowKey, shownParts: before, ...asked } = call;
  const expiresAt = Date.now() + config.approvals.timeoutMs;
  const anew = approvalOf(turn, { ...asked, expiresAt }, { key }, { tool, before, pin: policy.pinned(tool) });
  return {
    step: {
      events: [anew.event],
      row: { lastActiveAt: Date.now(), openTurns: withCall(row, turn, call.callId, anew.call) },
    },
    starts: [],
    refusal: changed(call),
  };
}

function changed({ name, server }: OpenCall): FairleadError {
  const told = `the tool ${server}/${name} has changed since it was shown: nothing ran, and it is asked anew`;
  return new FairleadError('ERR_CALL_CHANGED', told);
}

function toolGone({ name, server }: OpenCall): FairleadError {
  const told = `the tool ${server}/${name} is not there now, so it cannot be compared with what was shown`;
  return new FairleadError('ERR_UNAVAILABLE', told, { retryAfterMs: 5_000 });
}

export interface JudgedEdit {
  definition: ToolDefinition | undefined;
  judgement: Judgement;
}

/**
 * Edited arguments are judged anew: they need not fit the schema, and may name another server. Before the step, since a check
 * against a server's schema may take a while. Undefined when nothing is edited.
 */
export async function judgeEdit(
  row: SessionRow,
  { callId, args }: AnswerApprovalRequest,
  parts: AnswerParts,
): Promise<JudgedEdit | undefined> {
  const call = pendingApprovals(row).find((each) => each.callId === callId);
  if (!call || !args) return undefined;
  const tool = parts.toolSet(row).of(call.server, call.name);
  return { definition: tool?.definition, judgement: await judge(parts, tool, args, row) };
}

function editedKey({ name }: OpenCall, { definition }: KnownTool, edit: JudgedEdit | undefined): string {
  if (!edit || edit.definition !== definition) {
    const told = `the tool ${name} is being listed again: answer once more`;
    throw new FairleadError('ERR_UNAVAILABLE', told, { retryAfterMs: 1_000 });
  }
  const { judgement } = edit;
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

/** What was only for the question leaves the row with it. */
function started({ expiresAt: _expiresAt, tool: _tool, shownParts: _shownParts, ...call }: OpenCall): StartedCall {
  return { ...call, startedAt: Date.now() };
}
