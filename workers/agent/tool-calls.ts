/** The calls of one model answer: judged, asked for, run in parallel; every one gets a result. Runs in agent threads. */
import { errorToData, isFairleadError, publicMessage } from '../../src/errors.js';
import { histogram, SECONDS_SLOW } from '../../src/metrics.js';
import type { ContentBlock, DurableEvent } from '../../src/protocol.js';
import type { Decision } from './approvals.js';
import { boundContent, contentOf, toModelContent } from './mcp/tool-result.js';
import type { KnownTool } from './mcp/tool-names.js';
import { abortable, stopOf, type Turn } from './turn.js';

export interface ToolUse {
  type: 'tool_use';
  id: string;
  name: string;
  input: Record<string, unknown>;
}

type PlannedCall =
  /** Answered at once, by us: an invented tool, arguments that do not fit. The person is not asked. */
  | { kind: 'refused'; use: ToolUse; why: string }
  | { kind: 'decided'; use: ToolUse; tool: KnownTool; decision: Promise<Decision> };

export interface PlannedCalls {
  calls: PlannedCall[];
  /** To be written together with the model's answer. */
  events: DurableEvent[];
}

const toolSeconds = histogram('fairlead_tool_seconds', 'Tool calls, from their start to their result', SECONDS_SLOW, [
  'server',
  'ok',
]);

/** Decides on each call. Those that must be asked for wait from now on; the others' events stand beside the question. */
export function planCalls(turn: Turn, uses: readonly ToolUse[], brokenInputs: ReadonlySet<string>): PlannedCalls {
  const toolSet = turn.parts.toolSet();
  const judged = uses.map((use) => {
    const tool = toolSet.find(use.name);
    if (!tool) {
      const names = toolSet.tools.map((known) => known.name).join(', ');
      return { use, why: `There is no tool named ${use.name}. The tools are: ${names || 'none'}.` };
    }
    const problem = brokenInputs.has(use.id)
      ? 'they are not valid JSON'
      : turn.parts.toolArgs.problem(tool.definition, use.input);
    if (problem) return { use, why: `The arguments do not fit the tool's schema: ${problem}` };
    return { use, tool, action: turn.parts.policy.decide(tool, turn.log.row.allowed) };
  });
  const total = judged.filter((call) => call.action === 'ask').length;
  let position = 0;
  const events: DurableEvent[] = [];
  const calls = judged.map((call): PlannedCall => {
    const { use } = call;
    if (call.tool === undefined) return { kind: 'refused', use, why: call.why };
    const { tool } = call;
    switch (call.action) {
      case 'allow':
        events.push({ type: 'tool:approved', callId: use.id, by: 'policy' }, startEvent(use.id, tool, use.input));
        return decided(use, tool, { approved: true, args: use.input, edited: false });
      case 'deny':
        events.push({ type: 'tool:denied', callId: use.id, by: 'policy' });
        return decided(use, tool, { approved: false, by: 'policy' });
      case 'ask': {
        const question = {
          turn: turn.turn,
          callId: use.id,
          name: tool.definition.name,
          server: tool.server,
          args: use.input,
          position: ++position,
          total,
        };
        const { pending, decision } = turn.approvals.ask({ pending: question, tool }, turn.onApprovalTimeout);
        const { kind: _kind, ...fields } = pending;
        events.push({ type: 'tool:approval_required', ...fields });
        return { kind: 'decided', use, tool, decision };
      }
    }
  });
  return { calls, events };
}

export function startEvent(callId: string, tool: KnownTool, args: Record<string, unknown>): DurableEvent {
  return { type: 'tool:start', callId, name: tool.definition.name, server: tool.server, args };
}

function decided(use: ToolUse, tool: KnownTool, decision: Decision): PlannedCall {
  return { kind: 'decided', use, tool, decision: Promise.resolve(decision) };
}

/** Runs what is approved, each as soon as it is, and resolves with one tool_result for every call, in their order. */
export function runCalls(turn: Turn, calls: readonly PlannedCall[]): Promise<unknown[]> {
  return Promise.all(
    calls.map(async (call) => {
      if (call.kind === 'refused') return toolResult(call.use.id, [{ type: 'text', text: call.why }], true);
      const decision = await call.decision;
      if (!decision.approved) {
        return toolResult(call.use.id, [{ type: 'text', text: denialText(decision) }], true);
      }
      return runCall(turn, call.use.id, call.tool, decision);
    }),
  );
}

async function runCall(
  turn: Turn,
  callId: string,
  tool: KnownTool,
  decision: Extract<Decision, { approved: true }>,
): Promise<unknown> {
  const startedAt = performance.now();
  const { content, ok } = await callTool(turn, callId, tool, decision.args);
  const ms = Math.round(performance.now() - startedAt);
  toolSeconds.observe({ server: tool.server, ok: String(ok) }, ms / 1000);
  await turn.log.commit(() => ({ events: [{ type: 'tool:result', callId, ok, content, ms }] }));
  const forModel = decision.edited
    ? [
        { type: 'text' as const, text: `(The user changed the arguments to ${JSON.stringify(decision.args)})` },
        ...content,
      ]
    : content;
  return toolResult(callId, forModel, !ok);
}

/** Never rejects: what goes wrong in a tool is told to the model. */
async function callTool(
  turn: Turn,
  callId: string,
  tool: KnownTool,
  args: Record<string, unknown>,
): Promise<{ content: ContentBlock[]; ok: boolean }> {
  const { parts, log, signal } = turn;
  const { session } = log.row;
  const offsets = { stdout: 0, stderr: 0, progress: 0 };
  try {
    const sandbox = await abortable(() => parts.sandboxes.get(session, tool.server), signal);
    const result = await sandbox.callTool({
      name: tool.definition.name,
      args,
      signal,
      timeoutMs: parts.config.sandbox.toolTimeoutMs,
      onOutput: (stream, text) => {
        parts.outbox.streaming(session, { type: 'tool:output', callId, stream, offset: offsets[stream], text });
        offsets[stream] += text.length;
      },
    });
    const content = boundContent(contentOf(result), parts.config.limits.maxToolResultBytes);
    return { content, ok: result.isError !== true };
  } catch (error) {
    const text = isFairleadError(error, 'ERR_CANCELLED') ? stoppedText(signal) : failureText(error);
    return { content: [{ type: 'text', text }], ok: false };
  }
}

function failureText(error: unknown): string {
  const data = errorToData(error);
  return `${data.code}: ${publicMessage(data)}`;
}

function stoppedText(signal: AbortSignal): string {
  return stopOf(signal) === 'cancelled'
    ? 'The user cancelled the turn while this call ran; it may have run in part.'
    : 'Interrupted: the server stopped while this call ran; it may have run in part.';
}

function denialText(decision: Extract<Decision, { approved: false }>): string {
  switch (decision.by) {
    case 'user':
      return decision.reason ? `The user denied this call: ${decision.reason}` : 'The user denied this call.';
    case 'policy':
      return 'This call is denied by the server’s rules.';
    case 'timeout':
      return 'Nobody approved this call in time, so it did not run.';
    case 'cancel':
      return 'The turn was stopped before this call was approved; it did not run.';
  }
}

function toolResult(id: string, content: readonly ContentBlock[], isError: boolean): unknown {
  return {
    type: 'tool_result',
    tool_use_id: id,
    content: toModelContent(content),
    ...(isError ? { is_error: true } : {}),
  };
}
