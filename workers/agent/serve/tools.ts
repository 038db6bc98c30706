/** tools/list and tools/call: the tools of the user's sessions, with the same rules and, where a person must say yes, a question to the client. Agent threads. */
import {
  ProtocolError,
  ProtocolErrorCode,
  type CallToolResult,
  type MissingRequiredClientCapabilityError,
  type Tool,
} from '@modelcontextprotocol/server';
import { errorToData, isFairleadError, publicMessage } from '../../../src/shared/errors.js';
import { BUILT_IN, connectsTo } from '../mcp/catalogue/built-in.js';
import { callBuiltIn } from '../mcp/calls/built-in-calls.js';
import type { NamedTool } from '../mcp/catalogue/tool-names.js';
import { denialText } from '../turn/tool-calls.js';
import { abortable } from '../../../src/shared/abort.js';
import { canElicit, clientAsks, elicit } from './client-asks.js';
import type { Served, ServeParts } from './parts.js';
import type { ServedCall } from './served-call.js';
import type { Caller } from '../mcp/host/server-connection.js';

const INVALID_PARAMS: number = ProtocolErrorCode.InvalidParams;

/** As much as a person reads before a yes. */
const MAX_SHOWN = 2_000;

/** All that can be called now, however many: a client has its own ways to choose. Whole, but for their names. */
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

/** A server's, or one that lets the user log in to a server. ERR -32602 for what is neither. */
export function findTool({ agent }: ServeParts, of: Caller, name: string): NamedTool {
  const tool = agent.toolSet(of).find(name);
  if (!tool || !isServed(tool)) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${name}`);
  return tool;
}

export interface ToolRun {
  of: Served;
  tool: NamedTool;
  args: Record<string, unknown>;
  call: ServedCall;
  /** What the user has allowed for the session. */
  allowed: readonly string[];
}

/** Rejects only with what is the protocol's to tell; what goes wrong in a tool is its result. */
export async function runTool(parts: ServeParts, run: ToolRun): Promise<CallToolResult> {
  const { agent } = parts;
  const { tool, args, call, allowed } = run;
  if (tool.gone !== undefined) return failed(`its server ${tool.server} is not available: ${tool.gone}`);
  const problem = agent.toolArgs.problem(tool.definition, args);
  if (problem) return failed(`The arguments do not fit the tool's schema: ${problem}`);
  switch (agent.policy.decide(tool, allowed)) {
    case 'allow':
      break;
    case 'deny':
      return failed(denialText({ by: 'policy' }));
    case 'ask': {
      const refusal = await askForApproval(call, run);
      if (refusal !== undefined) return failed(refusal);
    }
  }
  return callServer(parts, run);
}

async function callServer(parts: ServeParts, { of, tool, args, call, allowed }: ToolRun): Promise<CallToolResult> {
  const { agent } = parts;
  const { config } = agent;
  const { server, definition } = tool;
  const { signal } = call;
  let missing: MissingRequiredClientCapabilityError | undefined;
  const asks = clientAsks(call, { server, config, owner: of.owner, onMissing: (error) => (missing = error) });
  try {
    if (server === BUILT_IN) {
      const result = await callBuiltIn(agent, { name: definition.name, args, caller: of, asks, signal, allowed });
      return result as CallToolResult;
    }
    const connection = await abortable(() => agent.servers.connection(of, server), signal);
    const { logLevel } = call;
    const result = await connection.callTool({
      name: definition.name,
      args,
      definition,
      signal,
      asks,
      timeoutMs: config.mcpServers[server]?.timeoutMs ?? config.sandbox.toolTimeoutMs,
      onOutput: () => undefined, // the same, as the server said it, goes to the client below
      onProgress: (progress) => call.onProgress(progress),
      onLog: (entry) => call.onLog(entry),
      ...(logLevel ? { logLevel } : {}),
    });
    agent.catalogue.noteGood(server);
    return result;
  } catch (error) {
    if (missing) throw missing;
    if (isFairleadError(error, 'ERR_CANCELLED')) throw error;
    if (isFairleadError(error) && isInvalidParams(error.cause)) throw error.cause;
    const data = errorToData(error);
    const told = `${data.code}: ${publicMessage(data)}`;
    if (server !== BUILT_IN) agent.catalogue.noteTrouble(of.user, server, told);
    return failed(told);
  }
}

/** Undefined: yes. */
async function askForApproval(call: ServedCall, { tool, args }: ToolRun): Promise<string | undefined> {
  const { server, definition } = tool;
  if (!canElicit(call.capabilities, 'form')) {
    return `${denialText({ by: 'timeout' })} A person must allow it, and this client cannot ask one: use a client with elicitation, or add a rule to approvals.rules for ${server}/${definition.name}.`;
  }
  const shown = JSON.stringify(args, null, 2);
  const short =
    shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}\n[… ${shown.length - MAX_SHOWN} characters more]` : shown;
  const answer = await elicit(
    call,
    {
      server,
      mode: 'form',
      message: `Allow ${server}/${definition.name} with ${short}?`,
      schema: { type: 'object', properties: {} },
    },
    { signal: call.signal },
  );
  switch (answer.action) {
    case 'accept':
      return undefined;
    case 'decline':
      return denialText({ by: 'user' });
    case 'cancel':
      return denialText({ by: 'timeout' });
  }
}

/** The server refuses the request as such: said to the client as it was said to us. */
export function isInvalidParams(error: unknown): error is ProtocolError {
  return error instanceof ProtocolError && error.code === INVALID_PARAMS;
}

function toolsOf(toolSet: ReturnType<ServeParts['agent']['toolSet']>): NamedTool[] {
  const ours = toolSet.tools.flatMap(({ name }) => {
    const tool = toolSet.find(name);
    return tool?.server === BUILT_IN && isServed(tool) ? [tool] : [];
  });
  return [...toolSet.known, ...ours];
}

/** To find tools and to read resources, MCP has requests of its own. */
function isServed({ server, definition }: NamedTool): boolean {
  return server !== BUILT_IN || connectsTo(definition.name) !== undefined;
}

function failed(text: string): CallToolResult {
  return { content: [{ type: 'text', text }], isError: true };
}
