/** Runs a judged tool call, a server's or one of ours, for turns and for `/mcp`. Agent threads. */
import { ProtocolError, ProtocolErrorCode, type CallToolResult } from '@modelcontextprotocol/client';
import { abortable } from '../../../../src/shared/abort.js';
import { audit, audited, auditedAs } from '../../../../src/shared/audit.js';
import { isImageServer } from '../../../../src/shared/config-mcp.js';
import { errorToData, FairleadError, isFairleadError, publicMessage } from '../../../../src/shared/errors.js';
import type { Who } from '../../../../src/shared/person.js';
import { histogram, SECONDS_SLOW } from '../../../../src/shared/metrics.js';
import { definitionKey } from '../../../../src/shared/server-changes.js';
import type { Bill } from '../../budget/bill.js';
import { payerOf } from '../../budget/budget-rules.js';
import { neverRan, type Meter, type OpenFee } from '../../budget/meter.js';
import { BUILT_IN } from '../catalogue/built-in.js';
import type { InputAnswers, InputWanted } from '../host/input-wanted.js';
import { closedServer } from '../host/last-calls.js';
import type { Caller, ToolCall } from '../host/server-connection.js';
import { callTimeoutMs } from './call-timeout.js';
import { callBuiltIn, type BuiltInParts } from './built-in-calls.js';
import { DENIED_BY_RULES, pinRefusal } from './judge.js';
import { ruleName } from './policy.js';
import type { ToolArgs } from './tool-args.js';

const toolSeconds = histogram('fairlead_tool_seconds', 'Tool calls, from their start to their result', SECONDS_SLOW, [
  'server',
  'ok',
]);

const REFUSALS: readonly number[] = [
  ProtocolErrorCode.InvalidParams,
  ProtocolErrorCode.MissingRequiredClientCapability,
];

/** A warm sandbox is there in milliseconds. */
const TOLD_AFTER_MS = 300;

export interface RunParts extends BuiltInParts {
  meter: Meter;
  toolArgs: ToolArgs;
}

export interface JudgedCall {
  caller: Caller;
  server: string;
  /** The tool's name at its server. */
  name: string;
  args: Record<string, unknown>;
  /** For the audit log, as is `who`: the client that calls, where it is no turn. */
  callId?: string;
  who?: Pick<Who, 'credential' | 'address'> | undefined;
  /** Absent: the call is of no turn. */
  turn?: number;
}

/** Makes one request of the call, on whichever connection is open then. */
export type SendToolCall = (answers: InputAnswers) => Promise<CallToolResult | InputWanted>;

/** Where a call's progress and log go, and who answers its server. */
export interface CallSink extends Pick<ToolCall, 'signal' | 'asks' | 'onProgress' | 'onLog' | 'logLevel'> {
  onOutput?: ToolCall['onOutput'];
  /** The call waits for a sandbox; `false`: it waits no longer. */
  onSandboxWait?: (waits: boolean) => void;
  /** Makes the requests itself, for a call that may outlive its connection. Absent: one connection puts all questions to `asks`. */
  sendAll?: (send: SendToolCall) => Promise<CallToolResult>;
}

/** `bill` of a call that has a price. */
export type CallOutcome = CallEnd & { bill?: Bill };

type CallEnd =
  /** `problem` says why the structured content does not fit the tool's output schema. */
  | { kind: 'answered'; result: CallToolResult; problem?: string }
  /** `text` is the error with its code, for the caller. */
  | { kind: 'failed'; error: unknown; text: string }
  | { kind: 'cancelled' };

/**
 * Never rejects, and runs nothing that cannot be recorded. A call that a budget has no money for fails with ERR_BUDGET, and does not
 * run.
 */
export async function runTool(parts: RunParts, call: JudgedCall, sink: CallSink): Promise<CallOutcome> {
  const { caller, server, name, turn } = call;
  let fee: OpenFee | undefined;
  try {
    await refuseByNow(parts, call);
    fee = await parts.meter.openFee(payerOf(caller, turn), { server, tool: name }, sink.signal);
  } catch (error) {
    return failed(error);
  }
  const outcome = await runPaid(parts, call, sink);
  return fee ? { ...outcome, bill: await fee.close(!('error' in outcome) || !neverRan(outcome.error)) } : outcome;
}

/** The rules may have changed while somebody was asked. Only a `deny` counts: what was asked for has been answered. ERR_DENIED. */
async function refuseByNow({ policy, toolSet }: RunParts, { caller, server, name, args }: JudgedCall): Promise<void> {
  const tool = toolSet(caller).of(server, name);
  if (!tool) return; // the connection says what has become of it
  const { action, by } = await policy.decide(tool, { ...caller, allowed: [] }, args);
  if (action !== 'deny') return;
  const told = by === 'pin' ? pinRefusal(policy, tool) : DENIED_BY_RULES;
  audit({
    what: 'tool_denied',
    user: caller.user,
    session: caller.session,
    about: { server, tool: name, rule: ruleName(by) },
  });
  throw new FairleadError('ERR_DENIED', told);
}

/** Never rejects. Notes a failure as the server's trouble, so that the lister checks the server at once. */
async function runPaid(parts: RunParts, call: JudgedCall, sink: CallSink): Promise<CallEnd> {
  const { catalogue, toolArgs } = parts;
  const { caller, name, server, args } = call;
  // Trouble with a resource is the trouble of the server that has it.
  const responsible = server === BUILT_IN ? args['server'] : server;
  try {
    const about = { callId: call.callId, server, tool: name };
    await audited({ what: 'tool_run', ...auditedAs(caller.user, call.who), session: caller.session, about, args });
  } catch (error) {
    return failed(error);
  }
  const startedAt = performance.now();
  const observe = (ok: boolean): void =>
    toolSeconds.observe({ server, ok: String(ok) }, (performance.now() - startedAt) / 1000);
  try {
    const definition = parts.toolSet(caller).of(server, name)?.definition;
    const result = await (server === BUILT_IN
      ? abortable(() => callBuiltIn(parts, { ...call, ...sink }), sink.signal)
      : callServer(parts, { ...call, ...(definition ? { definition } : {}) }, sink));
    const { structuredContent, isError } = result;
    const isChecked = definition !== undefined && structuredContent !== undefined && isError !== true;
    const problem = isChecked
      ? await toolArgs.outputProblem(definition, structuredContent, { user: caller.user, server })
      : undefined;
    if (typeof responsible === 'string') catalogue.noteGood(responsible);
    observe(isError !== true);
    return { kind: 'answered', result, ...(problem === undefined ? {} : { problem }) };
  } catch (error) {
    if (isFairleadError(error, 'ERR_CANCELLED')) return { kind: 'cancelled' };
    if (typeof responsible === 'string' && !isRefusedRequest(error))
      catalogue.noteTrouble(caller.user, responsible, error);
    observe(false);
    return failed(error);
  }
}

function failed(error: unknown): CallEnd {
  if (isFairleadError(error, 'ERR_CANCELLED')) return { kind: 'cancelled' };
  const data = errorToData(error);
  return { kind: 'failed', error, text: `${data.code}: ${publicMessage(data)}` };
}

async function callServer(
  { config, servers }: RunParts,
  { caller, server, name, args, definition }: JudgedCall & Pick<ToolCall, 'definition'>,
  { onOutput = () => undefined, onSandboxWait, sendAll, ...sink }: CallSink,
): Promise<CallToolResult> {
  const connect = () =>
    noticed(needsSandbox(config, server) ? onSandboxWait : undefined, () =>
      abortable(() => servers.connection(caller, server), sink.signal),
    );
  const request: ToolCall = {
    ...sink,
    session: caller.session,
    name,
    args,
    ...(definition ? { definition } : {}),
    timeoutMs: callTimeoutMs(config, server),
    onOutput,
  };
  if (sendAll) {
    const began = keyOf(config, server);
    return sendAll(async (answers) => {
      // What it has asked for, and what its user has said to that, is not for another one of the same name.
      if (keyOf(config, server) !== began) throw closedServer(server);
      return (await connect()).sendToolCall(request, answers);
    });
  }
  return (await connect()).callTool(request);
}

/** Tells of a wait that is worth a word, and of its end. */
async function noticed<T>(onWait: ((waits: boolean) => void) | undefined, work: () => Promise<T>): Promise<T> {
  if (!onWait) return work();
  let isTold = false;
  const timer = setTimeout(() => {
    isTold = true;
    onWait(true);
  }, TOLD_AFTER_MS);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
    if (isTold) onWait(false);
  }
}

function keyOf({ mcpServers }: RunParts['config'], name: string): string | undefined {
  const server = mcpServers[name];
  return server && definitionKey(server);
}

function needsSandbox({ mcpServers }: RunParts['config'], name: string): boolean {
  const server = mcpServers[name];
  return server !== undefined && isImageServer(server);
}

/** The server is well: it refuses the request, or needs a capability that the client lacks. */
function isRefusedRequest(error: unknown): boolean {
  if (isFairleadError(error, 'ERR_QUOTA')) return true; // the user's limit, which says nothing of the server
  const cause = isFairleadError(error) ? error.cause : undefined;
  return cause instanceof ProtocolError && REFUSALS.includes(cause.code);
}
