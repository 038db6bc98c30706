/** The calls of one model answer: judged, asked for, run in parallel; every one gets a result. Runs in agent threads. */
import { errorToData, isFairleadError, publicMessage } from '../../../src/shared/errors.js';
import { histogram, SECONDS_SLOW } from '../../../src/shared/metrics.js';
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { OpenCall, TranscriptMessage } from '../store/store.js';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';
import type { ToolCall } from '../mcp/host/server-connection.js';
import { BUILT_IN } from '../mcp/catalogue/built-in.js';
import { callBuiltIn } from '../mcp/calls/built-in-calls.js';
import { toServerArgs } from '../mcp/catalogue/model-schema.js';
import type { NamedTool, ToolSet } from '../mcp/catalogue/tool-names.js';
import { outputOf, toModelContent, type ToolOutput } from '../mcp/calls/tool-result.js';
import { ruledTool, toolKey } from '../mcp/calls/policy.js';
import { callInLegs, isResting } from './input-legs.js';
import { runningTurn, withoutCalls } from '../log/progress.js';
import { closeQuestions } from './questions.js';
import { abortable } from '../../../src/shared/abort.js';
import { stopOf, type StartedCall, type Turn } from './turn.js';

export interface ToolUse {
  type: 'tool_use';
  id: string;
  name: string;
  input: Record<string, unknown>;
}

export interface PlannedCalls {
  /** To be written together with the model's answer. */
  events: DurableEvent[];
  /** Results of calls that do not run: invented tools, arguments that do not fit, what the rules deny. */
  results: unknown[];
  /** Those that wait for a person, and those that start with this step. */
  open: OpenCall[];
}

/** Why a call did not run; the model is told in words. */
export type Denial =
  | { by: 'user'; reason?: string }
  | { by: 'policy' }
  | { by: 'timeout' }
  | { by: 'stop' }
  | { by: 'crash' }
  /** It rested until the person answered its server. */
  | { by: 'silence' };

const toolSeconds = histogram('fairlead_tool_seconds', 'Tool calls, from their start to their result', SECONDS_SLOW, [
  'server',
  'ok',
]);

/** Decides on each call. Those that must be asked for wait from now on; the others' events stand beside the question. */
export function planCalls(turn: Turn, uses: readonly ToolUse[], brokenInputs: ReadonlySet<string>): PlannedCalls {
  const { parts, log } = turn;
  const toolSet = parts.toolSet(log.row);
  const judged = uses.map((use) => {
    const tool = toolSet.find(use.name);
    if (!tool || tool.gone !== undefined) return { use, why: missingText(use.name, tool, toolSet) };
    const args = toServerArgs(use.input, tool.properties);
    const problem = brokenInputs.has(use.id)
      ? 'they are not valid JSON'
      : parts.toolArgs.problem(tool.definition, args);
    if (problem) return { use, why: `The arguments do not fit the tool's schema: ${problem}` };
    const ruled = ruledTool(tool, args);
    return { use, tool, args, allowKey: toolKey(ruled), action: parts.policy.decide(ruled, log.row.allowed) };
  });
  const total = judged.filter(({ action }) => action === 'ask').length;
  const expiresAt = Date.now() + parts.config.approvals.timeoutMs;
  let position = 0;
  const plan: PlannedCalls = { events: [], results: [], open: [] };
  for (const { use, tool, args, allowKey, action, why } of judged) {
    if (!tool) {
      // Answered at once, by us: the person is not asked.
      plan.results.push(toolResult(use.id, textOutput(why), true));
      continue;
    }
    const call = { callId: use.id, name: tool.definition.name, server: tool.server, args };
    switch (action) {
      case 'allow':
        plan.events.push({ type: 'tool:approved', callId: use.id, by: 'policy' }, startEvent(call));
        plan.open.push({ ...call, position: 0, total });
        break;
      case 'deny':
        plan.events.push({ type: 'tool:denied', callId: use.id, by: 'policy' });
        plan.results.push(denialResult(use.id, { by: 'policy' }));
        break;
      case 'ask': {
        const question = { ...call, position: ++position, total, expiresAt };
        plan.events.push({ type: 'tool:approval_required', turn: turn.turn, ...question });
        plan.open.push({ ...question, allowKey });
        break;
      }
    }
  }
  return plan;
}

export function startEvent({ callId, name, server, args }: Pick<OpenCall, 'callId' | 'name' | 'server' | 'args'>) {
  return { type: 'tool:start', callId, name, server, args } as const;
}

/**
 * Runs a call whose `tool:start` is stored; resolves when its result is, with the message for the model, or when the turn
 * stops while it rests. Rejects only when the store does.
 */
export async function runCall(turn: Turn, call: StartedCall): Promise<void> {
  const { callId } = call;
  const startedAt = performance.now();
  const { output, ok } = await callTool(turn, call);
  if (isResting(turn, callId)) return;
  const { content, structuredContent } = output;
  const ms = Math.round(performance.now() - startedAt);
  toolSeconds.observe({ server: call.server, ok: String(ok) }, ms / 1000);
  const edited = { type: 'text' as const, text: `(The user changed the arguments to ${JSON.stringify(call.args)})` };
  const forModel = call.edited ? { ...output, content: [edited, ...content] } : output;
  await turn.log.commit(() => {
    const { row } = turn.log;
    // Its turn may have ended in the moment in which it started: then its result has been told.
    const open = runningTurn(row)?.progress.calls.some((each) => each.callId === callId);
    if (!open) return undefined;
    // A server whose last call is over cannot be waiting for an answer.
    const questions = closeQuestions({ openTurns: withoutCalls(row, turn.turn, [callId]) }, false);
    return {
      events: [
        ...questions.events,
        { type: 'tool:result', callId, ok, content, ...(structuredContent ? { structuredContent } : {}), ms },
      ],
      messages: [resultMessage([toolResult(callId, forModel, !ok)])],
      row: { lastActiveAt: Date.now(), openTurns: questions.openTurns },
    };
  });
}

/** Never rejects: what goes wrong in a tool is told to the model. */
async function callTool(turn: Turn, call: StartedCall): Promise<{ output: ToolOutput; ok: boolean }> {
  const { parts, log, signal } = turn;
  const { user } = log.row;
  try {
    const definition = parts.toolSet(log.row).of(call.server, call.name)?.definition;
    const result = await (call.server === BUILT_IN ? callOurs(turn, call) : callServer(turn, call, definition));
    const structured = 'structuredContent' in result ? result.structuredContent : undefined;
    const isChecked = definition !== undefined && structured !== undefined && result.isError !== true;
    const output = outputOf(result, {
      maxBytes: parts.config.limits.maxToolResultBytes,
      problem: isChecked ? parts.toolArgs.outputProblem(definition, structured) : undefined,
    });
    parts.catalogue.noteGood(call.server);
    return { output, ok: result.isError !== true };
  } catch (error) {
    if (isFairleadError(error, 'ERR_CANCELLED')) return { output: textOutput(stoppedText(signal)), ok: false };
    const told = failureText(error);
    // A resource that could not be read is its server's trouble.
    const server = call.server === BUILT_IN ? call.args['server'] : call.server;
    if (typeof server === 'string') parts.catalogue.noteTrouble(user, server, told);
    return { output: textOutput(told), ok: false };
  }
}

async function callServer(turn: Turn, call: StartedCall, definition: ToolDefinition | undefined) {
  const { parts, log, signal, asks } = turn;
  const { callId, name, server, args } = call;
  const { session, user } = log.row;
  const offsets = { stdout: 0, stderr: 0, progress: 0 };
  return callInLegs(turn, call, async (answers) => {
    const connection = await abortable(() => parts.servers.connection({ session, user }, server), signal);
    const request: ToolCall = {
      name,
      args,
      ...(definition ? { definition } : {}),
      signal,
      asks,
      timeoutMs: parts.config.mcpServers[server]?.timeoutMs ?? parts.config.sandbox.toolTimeoutMs,
      onOutput: (stream, text) => {
        parts.outbox.streaming(session, { type: 'tool:output', callId, stream, offset: offsets[stream], text });
        offsets[stream] += text.length;
      },
    };
    return connection.sendToolCall(request, answers);
  });
}

function callOurs({ parts, log, signal, asks }: Turn, { name, args }: StartedCall): ReturnType<typeof callBuiltIn> {
  const { session, user, allowed } = log.row;
  return abortable(() => callBuiltIn(parts, { name, args, caller: { session, user }, asks, signal, allowed }), signal);
}

const MAX_NAMES = 100;

function missingText(name: string, tool: NamedTool | undefined, { tools }: ToolSet): string {
  if (tool) {
    return `The tool ${name} cannot be used now: its server ${tool.server} is not available (${tool.gone}). The other tools can.`;
  }
  const names = tools.slice(0, MAX_NAMES).map((known) => known.name);
  const more = tools.length > names.length ? ` and ${tools.length - names.length} more` : '';
  return `There is no tool named ${name}. The tools are: ${names.join(', ') || 'none'}${more}.`;
}

function textOutput(text: string): ToolOutput {
  return { content: [{ type: 'text', text }] };
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

export function denialText(denial: Denial): string {
  switch (denial.by) {
    case 'user':
      return denial.reason ? `The user denied this call: ${denial.reason}` : 'The user denied this call.';
    case 'policy':
      return 'This call is denied by the server’s rules.';
    case 'timeout':
      return 'Nobody approved this call in time, so it did not run.';
    case 'stop':
      return 'The turn was stopped before this call was approved; it did not run.';
    case 'silence':
      return 'The turn was stopped while the tool’s server waited for an answer of the user; it has run in part at most.';
    case 'crash':
      return 'Interrupted: the server failed while this call ran; it may have run, in whole or in part.';
  }
}

export function denialResult(callId: string, denial: Denial): unknown {
  return toolResult(callId, textOutput(denialText(denial)), true);
}

export function resultMessage(results: unknown[]): TranscriptMessage {
  return { role: 'user', content: results };
}

function toolResult(id: string, output: ToolOutput, isError: boolean): unknown {
  return {
    type: 'tool_result',
    tool_use_id: id,
    content: toModelContent(output),
    ...(isError ? { is_error: true } : {}),
  };
}
