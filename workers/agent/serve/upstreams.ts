/** Prompts, resources and completions of all servers as those of one: joins lists, routes requests. Agent threads. */
import { ProtocolError, ProtocolErrorCode, ResourceNotFoundError } from '@modelcontextprotocol/server';
import { errorToData, publicMessage } from '../../../src/shared/errors.js';
import { seesServer } from '../../../src/shared/kept-for-groups.js';
import { callTimeoutMs } from '../mcp/calls/call-timeout.js';
import { admitRequest } from '../mcp/calls/admit-request.js';
import { refuseDenied, undenied } from '../mcp/calls/judge.js';
import { listAll } from '../mcp/catalogue/list-all.js';
import { NOBODY } from '../mcp/catalogue/nobody.js';
import type { ServerConnection, ServerRequest } from '../mcp/host/server-connection.js';
import { abortable } from '../../../src/shared/abort.js';
import { clientAsks } from './client-asks.js';
import type { Served, ServeParts } from './parts.js';
import type { PromptRoute } from './routes.js';
import type { ServedCall } from './served-call.js';
import { isInvalidParams, isNotFound, toProtocolError } from './protocol-errors.js';

type Item = Record<string, unknown>;
type ServedList = 'prompts/list' | 'resources/list' | 'resources/templates/list';

/** Limit for all servers together; no client uses a longer list. */
const MAX_ITEMS = 10_000;

export async function listPrompts(parts: ServeParts, of: Served, signal: AbortSignal): Promise<Item[]> {
  const found = await listOfAll(parts, of, 'prompts/list', signal);
  const routes = new Map<string, PromptRoute>();
  const items: Item[] = [];
  const names = new Map<string, number>();
  for (const { item } of found) names.set(String(item['name']), (names.get(String(item['name'])) ?? 0) + 1);
  const mode = parts.agent.config.mcp.toolNames;
  for (const { server, item } of found) {
    const name = String(item['name']);
    const collides = (names.get(name) ?? 0) > 1;
    const shown = mode === 'always' || (mode === 'auto' && collides) ? `${server}__${name}` : name;
    if (routes.has(shown)) continue; // with `never`, the first server keeps the name
    routes.set(shown, { server, name });
    items.push({ ...item, name: shown });
  }
  parts.routes.setPrompts(of.user, routes);
  return items;
}

export async function listResources(
  parts: ServeParts,
  of: Served,
  method: 'resources/list' | 'resources/templates/list',
  signal: AbortSignal,
): Promise<Item[]> {
  const found = await listOfAll(parts, of, method, signal);
  for (const { server, item } of found) {
    const uri = item['uri'] ?? item['uriTemplate'];
    if (typeof uri === 'string') parts.routes.setResource(of.user, uri, server);
  }
  return found.map(({ item }) => item);
}

/** Finds the server of a prompt. -32602 for a name that no server has. */
export async function findPrompt(
  parts: ServeParts,
  of: Served,
  name: string,
  signal: AbortSignal,
): Promise<PromptRoute> {
  const known = parts.routes.prompt(of.user, name);
  if (known && seesServer(parts.agent.config.mcpServers, known.server, of.who)) return known;
  await listPrompts(parts, of, signal);
  const found = parts.routes.prompt(of.user, name);
  if (!found) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown prompt: ${name}`);
  return found;
}

/** The server that is known to have the URI first, then all others with resources. */
export function serversFor(parts: ServeParts, of: Served, uri: string): string[] {
  const found = parts.routes.resource(of.user, uri);
  // It was found with another credential, perhaps.
  const known = found !== undefined && seesServer(parts.agent.config.mcpServers, found, of.who) ? found : undefined;
  const others = serversWith(parts, of, 'resources').filter((server) => server !== known);
  return known === undefined ? others : [known, ...others];
}

interface ClientRequest {
  of: Served;
  server: string;
  call: ServedCall;
  method: 'prompts/get' | 'resources/read';
  params: Item;
}

/** Makes a client's request to a server, which may ask the client in the middle. Rejects with errors of the protocol. */
export async function requestFor(
  parts: ServeParts,
  { of, server, call, method, params }: ClientRequest,
): Promise<Item> {
  const { config, policy } = parts.agent;
  const { signal, logLevel } = call;
  let unanswered: Error | undefined;
  const asks = clientAsks(call, { server, agent: parts.agent, of, onUnanswered: (error) => (unanswered = error) });
  try {
    await admitRequest(policy, of, { server, method, params });
    const connection = await abortable(() => parts.agent.servers.connection(of, server), signal);
    return await connection.request({
      method,
      params,
      asks,
      signal,
      timeoutMs: callTimeoutMs(config, server),
      onLog: (entry) => call.onLog(entry),
      ...(logLevel ? { logLevel } : {}),
    });
  } catch (error) {
    throw unanswered ?? toProtocolError(error);
  }
}

/** Reads the resource from the first server that has it. */
export async function readResource(
  parts: ServeParts,
  { of, uri, call }: { of: Served; uri: string; call: ServedCall },
): Promise<Item> {
  let failure: unknown;
  for (const server of serversFor(parts, of, uri)) {
    try {
      const result = await requestFor(parts, { of, server, call, method: 'resources/read', params: { uri } });
      const { contents } = result;
      if (!Array.isArray(contents) || contents.length === 0) continue; // older servers answer so for a resource that they lack
      parts.routes.setResource(of.user, uri, server);
      return result;
    } catch (error) {
      if (call.signal.aborted) throw error;
      if (!isNotFound(error)) failure ??= error;
    }
  }
  throw failure ?? new ResourceNotFoundError(uri);
}

/** Completes an argument; no values when the server has no completions. */
export async function complete(
  parts: ServeParts,
  of: Served,
  params: { ref: { type: string; name?: string; uri?: string }; [key: string]: unknown },
  signal: AbortSignal,
): Promise<Item> {
  const { ref } = params;
  const { config, policy, servers: connections } = parts.agent;
  const prompt = ref.name === undefined ? undefined : await findPrompt(parts, of, ref.name, signal);
  if (prompt) {
    const asked = { server: prompt.server, method: 'prompts/get', params: { name: prompt.name } } as const;
    await refuseDenied(policy, of, asked);
  }
  const uri = ref.uri ?? '';
  const servers = prompt
    ? [prompt.server]
    : await undenied(policy, of, serversFor(parts, of, uri), { method: 'resources/read', params: { uri } });
  const request: ServerRequest = {
    method: 'completion/complete',
    params: prompt ? { ...params, ref: { ...ref, name: prompt.name } } : params,
    signal,
    asks: NOBODY,
    background: true,
    timeoutMs: config.mcp.requestTimeoutMs,
  };
  let failure: unknown;
  for (const server of servers) {
    try {
      const connection = await abortable(() => connections.connection(of, server), signal);
      if (connection.capabilities['completions'] === undefined) continue;
      return await connection.request(request);
    } catch (error) {
      const told = toProtocolError(error);
      if (signal.aborted) throw told;
      if (!isInvalidParams(told)) failure ??= told;
    }
  }
  if (failure !== undefined) throw failure;
  return { completion: { values: [], total: 0, hasMore: false } };
}

/** Joins the lists of all servers. One that fails does not hide the others. */
async function listOfAll(
  parts: ServeParts,
  of: Served,
  method: ServedList,
  signal: AbortSignal,
): Promise<{ server: string; item: Item }[]> {
  const { agent, log } = parts;
  const options = { asks: NOBODY, signal, timeoutMs: agent.config.mcp.requestTimeoutMs };
  await agent.catalogue.ready(of);
  const capability = method === 'prompts/list' ? 'prompts' : 'resources';
  const servers = await undenied(agent.policy, of, serversWith(parts, of, capability), { method });
  const lists = servers.map(async (server) => {
    try {
      const connection = await abortable<ServerConnection>(() => agent.servers.connection(of, server), signal);
      const { items } = await listAll(connection, method, options);
      return items.map((item) => ({ server, item }));
    } catch (error) {
      if (signal.aborted) throw error;
      log.debug({ server, method, err: publicMessage(errorToData(error)) }, 'left out of a list for an mcp client');
      return [];
    }
  });
  return (await Promise.all(lists)).flat().slice(0, MAX_ITEMS);
}

/** Servers with the capability, in the configuration's order, as their listings say: no sandbox is started to be asked. */
function serversWith({ agent }: ServeParts, of: Served, capability: 'prompts' | 'resources'): string[] {
  const notes = agent.catalogue.notesOf(of);
  return Object.keys(agent.config.mcpServers).filter((server) => {
    const note = notes[server];
    return note?.[capability] === true && note.down === undefined;
  });
}
