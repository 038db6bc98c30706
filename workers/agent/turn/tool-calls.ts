/** The calls of one model answer: judged, approved, run in parallel. Each gets a result. Agent threads. */
import type { DurableEvent, FileChanges, PinDifference } from '../../../src/shared/protocol.js';
import type { OpenCall } from '../store/store.js';
import { fitResult } from '../images/fit-blocks.js';
import { contentForEvent } from '../mcp/calls/bound-content.js';
import { judge } from '../mcp/calls/judge.js';
import { ruleName } from '../mcp/calls/policy.js';
import { runTool } from '../mcp/calls/run-tool.js';
import { toldChanges } from '../mcp/calls/told-changes.js';
import { outputOf, type ToolOutput } from '../mcp/calls/tool-result.js';
import { toServerArgs } from '../mcp/catalogue/model-schema.js';
import { partHashes } from '../../../src/shared/definition-hash.js';
import type { KnownTool, ToolSet } from '../mcp/catalogue/tool-names.js';
import type { AuditedCall } from '../log/audited-step.js';
import { jsonBytes } from '../log/history-size.js';
import { lossNotes } from '../log/losses.js';
import { noticesOf, type Bill } from '../budget/bill.js';
import { plusNanos } from '../log/usage.js';
import { runningTurn, withoutCalls, withProgress } from '../log/progress.js';
import { callWithInput, staysOpen } from './input-rounds.js';
import { closeQuestions } from './questions.js';
import { lastAllowed, shownTool } from './shown-tool.js';
import { resultBlock, resultMessage, stoppedText, textOutput } from './result-messages.js';
import type { StartedCall, Turn } from './turn.js';

export interface ToolUse {
  type: 'tool_use';
  id: string;
  name: string;
  input: Record<string, unknown>;
}

export interface PlannedCalls {
  /** Stored together with the model's answer. */
  events: DurableEvent[];
  /** Results of calls that do not run: unknown tools, arguments that do not fit, calls that the rules deny. */
  results: unknown[];
  /** Calls that wait for approval, and calls that start with this step. */
  open: OpenCall[];
  /** What decided, by call; for the audit log. */
  decided: Map<string, AuditedCall>;
}

/** Judges each call. Calls that need approval wait from now on; the others start or have their results with this step. */
export async function planCalls(
  turn: Turn,
  uses: readonly ToolUse[],
  brokenInputs: ReadonlySet<string>,
): Promise<PlannedCalls> {
  const { parts, log } = turn;
  const toolSet = parts.toolSet(log.row);
  const judging = uses.map(async (use) => {
    const tool = toolSet.find(use.name);
    const args = toServerArgs(use.input, tool?.properties);
    const judgement = await judge(parts, tool, brokenInputs.has(use.id) ? undefined : args, log.row);
    const call = { callId: use.id, name: tool?.definition.name ?? use.name, server: tool?.server ?? '', args };
    return { judgement, call, tool };
  });
  const judged = await Promise.all(judging);
  const total = judged.filter(({ judgement }) => judgement.verdict === 'ask').length;
  const expiresAt = Date.now() + parts.config.approvals.timeoutMs;
  let position = 0;
  const plan: PlannedCalls = { events: [], results: [], open: [], decided: new Map() };
  for (const { judgement, call, tool } of judged) {
    const { callId } = call;
    if ('by' in judgement) plan.decided.set(callId, { ...call, rule: ruleName(judgement.by) });
    switch (judgement.verdict) {
      // The model is answered at once; the user is not asked.
      case 'unknown':
        plan.results.push(resultBlock(callId, textOutput(unknownText(call.name, toolSet)), true));
        break;
      case 'gone':
      case 'bad-args':
        plan.results.push(resultBlock(callId, textOutput(judgement.text), true));
        break;
      case 'allow':
        plan.events.push({ type: 'tool:approved', callId, by: 'policy' }, startEvent(call));
        plan.open.push({ ...call, position: 0, total, startedAt: Date.now() });
        break;
      case 'deny':
        plan.events.push({
          type: 'tool:denied',
          callId,
          name: call.name,
          server: call.server,
          by: 'policy',
          ...(judgement.by === 'pin' ? { reason: judgement.text } : {}),
        });
        plan.results.push(resultBlock(callId, textOutput(judgement.text), true));
        break;
      case 'ask': {
        const asked = approvalOf(turn.turn, { ...call, position: ++position, total, expiresAt }, judgement, {
          tool,
          before: tool && lastAllowed(log.row.seen, tool),
          pin: tool && parts.policy.pinned(tool),
        });
        plan.events.push(asked.event);
        plan.open.push(asked.call);
        break;
      }
    }
  }
  return plan;
}

/** The question whether a call may run, and the call that waits for its answer. `before`: see `shownTool`. */
export function approvalOf(
  turn: number,
  call: OpenCall & { expiresAt: number },
  { key }: { key: string },
  { tool, before, pin }: { tool: KnownTool | undefined; before: string | undefined; pin: PinDifference | undefined },
): { event: DurableEvent; call: OpenCall } {
  const question = { ...call, ...(tool ? { tool: shownTool(tool.definition, before, pin) } : {}) };
  return {
    event: { type: 'tool:approval_required', turn, ...question },
    call: { ...question, allowKey: key, ...(tool ? { shownParts: partHashes(tool.definition) } : {}) },
  };
}

export function startEvent({ callId, name, server, args }: Pick<OpenCall, 'callId' | 'name' | 'server' | 'args'>) {
  return { type: 'tool:start', callId, name, server, args } as const;
}

/**
 * Runs a call whose `tool:start` is stored. Resolves when its result is stored together with the message for the model, or when
 * the turn is interrupted while the call waits for input. Rejects only when the store does.
 */
export async function runCall(turn: Turn, call: StartedCall): Promise<void> {
  const { callId } = call;
  const startedAt = performance.now();
  const { output, ok, bill, changes } = await outputOfCall(turn, call);
  if (staysOpen(turn, callId)) return;
  const ms = Math.round(performance.now() - startedAt);
  const edited = { type: 'text' as const, text: `(The user changed the arguments to ${JSON.stringify(call.args)})` };
  const { maxBytes } = turn.parts.config.store.history;
  await turn.log.commit(() => {
    const { row } = turn.log;
    // The turn may have ended just as the call started; then the result is stored already.
    const progress = runningTurn(row)?.progress;
    const open = progress?.calls.some((each) => each.callId === callId);
    if (!open) return undefined;
    // A server without a running call waits for no answer.
    const questions = closeQuestions({ openTurns: withoutCalls(row, turn.turn, [callId]) }, false);
    // The model's next round ends the turn; until then each call still needs a result.
    const kept = fitting(output, maxBytes - (row.history?.bytes ?? 0));
    const { content, structuredContent } = kept;
    const forModel = call.edited ? { ...kept, content: [edited, ...content] } : kept;
    const lost = lossNotes(row, call.server);
    const told = contentForEvent([...lost.content, ...content], turn.parts.config.limits.maxUnsentBytes);
    return {
      events: [
        ...questions.events,
        ...noticesOf(bill),
        { type: 'tool:result', callId, ok, content: told, ...(structuredContent ? { structuredContent } : {}), ms },
        ...(changes ? [{ type: 'files:changed' as const, turn: turn.turn, ...changes }] : []),
      ],
      messages: [
        resultMessage([resultBlock(callId, { ...forModel, content: [...lost.content, ...forModel.content] }, !ok)]),
      ],
      row: {
        lastActiveAt: Date.now(),
        openTurns: withProgress(questions, turn.turn, plusNanos(progress, bill)),
        ...lost.row,
      },
    };
  });
}

/** Never rejects: a tool's failure is output for the model. */
async function outputOfCall(
  turn: Turn,
  call: StartedCall,
): Promise<{ output: ToolOutput; ok: boolean; bill: Bill | undefined; changes?: FileChanges | undefined }> {
  const { parts, log, signal, asks } = turn;
  const { callId, name, server, args } = call;
  const { session, user, who } = log.row;
  const caller = { session, user, who };
  const offsets = { stdout: 0, stderr: 0, progress: 0 };
  const outcome = await runTool(
    parts,
    { caller, name, server, args, callId, turn: turn.turn },
    {
      signal,
      asks,
      sendAll: (send) => callWithInput(turn, call, send),
      onSandboxWait: (waits) => turn.onWait(waits ? { reason: 'sandbox' } : undefined),
      onOutput: (stream, text) => {
        parts.outbox.streaming(session, { type: 'tool:output', callId, stream, offset: offsets[stream], text });
        offsets[stream] += text.length;
      },
    },
  );
  const { bill } = outcome;
  switch (outcome.kind) {
    case 'answered': {
      const { result, problem } = outcome;
      const { maxToolResultBytes: maxBytes, maxToolImageBytes: maxImageBytes, maxImageSide } = parts.config.limits;
      const shown = await fitResult(result, parts.images, { maxSide: maxImageSide, signal });
      const isExact = parts.toolSet(caller).of(server, name)?.definition.readOnly === true;
      const output = outputOf(shown, { maxBytes, maxImageBytes, problem, isExact });
      // Only a workspace has files that its user sees.
      const spec = parts.config.mcpServers[server];
      const hasFiles = spec !== undefined && 'image' in spec;
      return { output, ok: result.isError !== true, bill, changes: hasFiles ? toldChanges(result._meta) : undefined };
    }
    case 'failed':
      return { output: textOutput(outcome.text), ok: false, bill };
    case 'cancelled':
      return { output: textOutput(stoppedText(signal)), ok: false, bill };
  }
}

/** The output, or a sentence in its place where the history has no room for it. */
function fitting(output: ToolOutput, room: number): ToolOutput {
  const bytes = jsonBytes(output);
  if (bytes <= room) return output;
  return textOutput(`[A result of ${bytes} bytes was left out: the history of this session is full.]`);
}

const MAX_NAMES = 100;

function unknownText(name: string, { tools }: ToolSet): string {
  const names = tools.slice(0, MAX_NAMES).map((known) => known.name);
  const more = tools.length > names.length ? ` and ${tools.length - names.length} more` : '';
  return `There is no tool named ${name}. The tools are: ${names.join(', ') || 'none'}${more}.`;
}
