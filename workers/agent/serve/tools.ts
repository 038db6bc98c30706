/** tools/list and tools/call for MCP clients: the session's tools, under the same rules as in a turn. Agent threads. */
import { ProtocolError, ProtocolErrorCode, type CallToolResult, type Tool } from '@modelcontextprotocol/server';
import { cancelled } from '../../../src/shared/abort.js';
import { escapeControls } from '../../../src/shared/control-characters.js';
import type { ShownTool } from '../../../src/shared/protocol.js';
import { differenceText } from '../../../src/shared/tool-pins.js';
import { definitionHash } from '../../../src/shared/definition-hash.js';
import { judge } from '../mcp/calls/judge.js';
import { ruleName } from '../mcp/calls/policy.js';
import { runTool } from '../mcp/calls/run-tool.js';
import { outputNote } from '../mcp/calls/tool-result.js';
import { BUILT_IN, connectsTo } from '../mcp/catalogue/built-in.js';
import type { NamedTool } from '../mcp/catalogue/tool-names.js';
import type { Caller } from '../mcp/host/server-connection.js';
import { shownTool } from '../turn/shown-tool.js';
import { denialText } from '../turn/result-messages.js';
import { CallAudit } from './audited-call.js';
import { canElicit, clientAsks, elicit } from './client-asks.js';
import type { Served, ServeParts } from './parts.js';
import { isInvalidParams, refusalOf } from './protocol-errors.js';
import type { ServedCall } from './served-call.js';

/** Longest arguments that a user is asked about, in characters. A question that shows a part would hide the rest from its yes. */
const MAX_SHOWN = 32_768;

const CHANGED =
  'The tool has changed since the user was asked: their yes was for another definition. It did not run; call it again to ask anew.';

/**
 * All tools that can be called now, without a limit: clients choose for themselves. Only the names differ from the servers'
 * definitions, so a client's arguments need no conversion.
 */
export function listTools({ agent }: ServeParts, of: Caller): Tool[] {
  return toolsOf(agent.toolSet(of)).map(({ model, definition }) => {
    const { title, description, inputSchema, outputSchema, annotations } = definition;
    return {
      name: model.name,
      ...(title === undefined ? {} : { title }),
      description,
      inputSchema: { ...inputSchema, type: 'object' },
      ...(outputSchema === undefined ? {} : { outputSchema }),
      ...(annotations === undefined ? {} : { annotations }),
    };
  });
}

/** Finds a server's tool, or our tool that logs the user in to a server. -32602 for any other name. */
export function findServedTool({ agent }: ServeParts, of: Caller, name: string): NamedTool {
  const tool = agent.toolSet(of).find(name);
  if (!tool || !isServed(tool)) throw unknownTool(name);
  return tool;
}

export interface ServedToolCall {
  of: Served;
  tool: NamedTool;
  args: Record<string, unknown>;
  call: ServedCall;
  /** What the user has allowed for the session. */
  allowed: readonly string[];
}

/** Rejects only with errors of the protocol; a tool's failure is a result. */
export async function callServedTool(parts: ServeParts, served: ServedToolCall): Promise<CallToolResult> {
  const { agent } = parts;
  const { of, tool, args, call, allowed } = served;
  const { server, definition } = tool;
  const judgement = await judge(agent, tool, args, { user: of.user, who: of.who, allowed });
  const noted = new CallAudit(served);
  switch (judgement.verdict) {
    case 'unknown':
      throw unknownTool(tool.model.name);
    case 'deny':
      noted.denied('policy', ruleName(judgement.by));
      return errorResult(judgement.text);
    case 'gone':
    case 'bad-args':
      return errorResult(judgement.text);
    case 'ask': {
      noted.asked(ruleName(judgement.by));
      const refusal = await askForApproval(agent, call, served);
      if (refusal) {
        noted.denied(refusal.by);
        return errorResult(refusal.text);
      }
      const now = agent.toolSet(of).of(server, definition.name);
      if (!now || definitionHash(now.definition) !== definitionHash(definition)) {
        noted.denied('policy');
        return errorResult(CHANGED);
      }
      noted.allowed('user');
      break;
    }
    case 'allow':
      noted.allowed('policy', ruleName(judgement.by));
  }
  let unanswered: ProtocolError | undefined;
  const asks = clientAsks(call, {
    server,
    agent,
    of,
    onUnanswered: (error) => (unanswered = error),
  });
  const { signal, logLevel } = call;
  const outcome = await runTool(
    agent,
    { caller: of, server, name: definition.name, args, callId: call.id, who: of.who },
    {
      signal,
      asks,
      onProgress: (progress) => call.onProgress(progress),
      onLog: (entry) => call.onLog(entry),
      ...(logLevel ? { logLevel } : {}),
    },
  );
  noted.done(outcome.kind === 'answered' && outcome.result.isError !== true);
  switch (outcome.kind) {
    case 'answered': {
      const { result, problem } = outcome;
      const notes = problem === undefined ? [] : [outputNote(problem)];
      if (isInvalidParams(unanswered)) notes.push({ type: 'text', text: `[${unanswered.message}]` });
      return { ...result, content: [...(await parts.takeLosses(of, server)), ...result.content, ...notes] };
    }
    case 'failed': {
      const refusal = unanswered ?? refusalOf(outcome.error);
      if (refusal) throw refusal;
      const failure = errorResult(outcome.text);
      return { ...failure, content: [...(await parts.takeLosses(of, server)), ...failure.content] };
    }
    case 'cancelled':
      throw unanswered ?? cancelled();
  }
}

interface Refusal {
  by: 'user' | 'dismissed' | 'unasked';
  /** Why the call does not run. */
  text: string;
}

/** Resolves with undefined for a yes. */
async function askForApproval(
  { schemas, policy }: ServeParts['agent'],
  call: ServedCall,
  { of, tool, args }: ServedToolCall,
): Promise<Refusal | undefined> {
  const { server, definition } = tool;
  if (!canElicit(call.capabilities, 'form')) {
    const text = `${denialText({ by: 'unasked' })} The user must allow it, and this client cannot ask them: use a client with elicitation (with the older protocol, one that also takes streams), or add a rule to approvals.rules for ${server}/${definition.name}.`;
    return { by: 'unasked', text };
  }
  // Marks that reorder text would show another call than the one that runs.
  const shown = escapeControls(JSON.stringify(args, null, 2));
  if (shown.length > MAX_SHOWN) {
    const text = `This call needs the user's yes, and its arguments (${shown.length} characters) are longer than what a question shows (${MAX_SHOWN}). It did not run: pass less at once, or add a rule to approvals.rules for ${server}/${definition.name}.`;
    return { by: 'unasked', text };
  }
  const answer = await elicit(
    call,
    {
      server,
      mode: 'form',
      message: `Allow ${server}/${definition.name} with ${shown}?\n\n${wordsOf(shownTool(definition, undefined, policy.pinned(tool)))}`,
      schema: { type: 'object', properties: {} },
    },
    { schemas, user: of.user, signal: call.signal },
  );
  switch (answer.action) {
    case 'accept':
      return undefined;
    case 'decline':
      return { by: 'user', text: denialText({ by: 'user' }) };
    case 'cancel':
      return { by: 'dismissed', text: denialText({ by: 'dismissed' }) };
  }
}

/** What the server says of the tool, after the arguments and marked as its words. */
function wordsOf({ description, hints = {}, pin }: ShownTool): string {
  const said = Object.entries(hints).map(([hint, value]) => `${hint}: ${String(value)}`);
  const differs = pin ? [`Look closely: ${differenceText(pin)}.`] : [];
  return [...differs, `Its server describes it so: ${escapeControls(JSON.stringify(description))}`, ...said].join('\n');
}

function toolsOf(toolSet: ReturnType<ServeParts['agent']['toolSet']>): NamedTool[] {
  const ours = toolSet.tools.flatMap(({ name }) => {
    const tool = toolSet.find(name);
    return tool?.server === BUILT_IN && isServed(tool) ? [tool] : [];
  });
  return [...toolSet.known, ...ours];
}

/** Our tools for search and resources are left out: MCP clients have requests for these. */
function isServed({ server, definition }: NamedTool): boolean {
  return server !== BUILT_IN || connectsTo(definition.name) !== undefined;
}

function unknownTool(name: string): ProtocolError {
  return new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${name}`);
}

function errorResult(text: string): CallToolResult {
  return { content: [{ type: 'text', text }], isError: true };
}
