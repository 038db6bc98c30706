/** Runs calls of our own tools; their results have the shape of a server's. Agent threads. */
import { cutText } from '../../../../src/shared/cut-text.js';
import type { CallToolResult } from '@modelcontextprotocol/client';
import { errorToData, FairleadError, publicMessage } from '../../../../src/shared/errors.js';
import type { ContentBlock } from '../../../../src/shared/protocol.js';
import type { Config } from '../../../../src/shared/config.js';
import type { ToolCatalogue } from '../catalogue/tool-catalogue.js';
import type { ToolSet } from '../catalogue/tool-names.js';
import type { Caller, ServerAsks, ServerConnections } from '../host/server-connection.js';
import {
  connectsTo,
  DEFAULT_FOUND,
  LIST_RESOURCES,
  READ_RESOURCE,
  RESTART_SANDBOX,
  SEARCH_TOOLS,
} from '../catalogue/built-in.js';
import { listAll } from '../catalogue/list-all.js';
import { findTools, foundText } from '../catalogue/tool-search.js';
import { callTimeoutMs } from './call-timeout.js';
import { undenied } from './judge.js';
import type { Policy } from './policy.js';

/** Limits for one server. A model that needs more goes on with an offset. */
const MAX_RESOURCES = 200;
const MAX_LISTED_CHARACTERS = 60_000;
const MAX_FIELD = 500;

export interface BuiltInCall {
  name: string;
  args: Record<string, unknown>;
  caller: Caller;
  asks: ServerAsks;
  signal: AbortSignal;
}

export interface BuiltInParts {
  config: Config;
  servers: ServerConnections;
  toolSet: (caller: Caller) => ToolSet;
  catalogue: ToolCatalogue;
  policy: Policy;
}

/** Rejects with the errors of the servers that the tool asks. */
export async function callBuiltIn(parts: BuiltInParts, call: BuiltInCall): Promise<CallToolResult> {
  return { content: (await builtInContent(parts, call)) as CallToolResult['content'] };
}

async function builtInContent(parts: BuiltInParts, call: BuiltInCall): Promise<ContentBlock[]> {
  const { name } = call;
  if (name === SEARCH_TOOLS) return texts(search(parts, call));
  if (name === LIST_RESOURCES) return texts(await resourceLines(parts, call));
  if (name === READ_RESOURCE) return resourceBlocks(parts, call);
  if (name === RESTART_SANDBOX) {
    const count = await parts.servers.restartSandboxes(call.caller.session, 'the model has restarted it', false);
    return texts([
      count > 0
        ? 'The sandbox is restarted. Its files are there.'
        : 'There is no sandbox to restart: the next call starts one.',
    ]);
  }
  const server = connectsTo(name);
  if (server === undefined) throw new FairleadError('ERR_MCP', `there is no tool ${name}`);
  const tools = await parts.catalogue.connect(call.caller, server, call.asks, call.signal);
  const names = tools.slice(0, 50).map((tool) => tool.name);
  const more = tools.length > names.length ? ` and ${tools.length - names.length} more, which can be called, too` : '';
  return texts([`The user is logged in to ${server}. Its tools: ${names.join(', ') || 'none'}${more}.`]);
}

function search({ toolSet }: BuiltInParts, { args, caller }: BuiltInCall): string[] {
  const { known } = toolSet(caller);
  const limit = typeof args['limit'] === 'number' ? args['limit'] : DEFAULT_FOUND;
  const found = findTools(known, String(args['query']), limit);
  if (found.length > 0) return foundText(found);
  const servers = [...new Set(known.map(({ server }) => server))].join(', ');
  return [
    `No tool fits these words. There are tools of these servers: ${servers}. Try other words, or a server's name.`,
  ];
}

/** Lists one server's resources, or those of all servers that the rules do not deny. One that fails does not hide the others. */
async function resourceLines(parts: BuiltInParts, call: BuiltInCall): Promise<string[]> {
  const asked = call.args['server'];
  if (typeof asked === 'string') return resourcesOf(parts, call, asked);
  const notes = parts.catalogue.notesOf(call.caller);
  const listed = Object.entries(notes).flatMap(([server, { resources, down }]) =>
    resources === true && down === undefined ? [server] : [],
  );
  const servers = await undenied(parts.policy, call.caller, listed, { method: 'resources/list' });
  const lists = servers.map(async (server) => {
    try {
      return await resourcesOf(parts, call, server);
    } catch (error) {
      if (call.signal.aborted) throw error;
      return [`${server}: ${publicMessage(errorToData(error))}`];
    }
  });
  const lines = (await Promise.all(lists)).flat();
  return lines.length > 0 ? lines : ['No server has resources now.'];
}

async function resourcesOf({ config, servers }: BuiltInParts, call: BuiltInCall, server: string): Promise<string[]> {
  const { asks, signal, caller } = call;
  const options = { asks, signal, timeoutMs: config.mcp.requestTimeoutMs };
  const connection = await servers.connection(caller, server);
  const listed = await listAll(connection, 'resources/list', options);
  const templates = await listAll(connection, 'resources/templates/list', options);
  const items = [...listed.items, ...templates.items];
  if (items.length === 0) return [`${server} has no resources.`];
  const first = typeof call.args['offset'] === 'number' ? call.args['offset'] : 1;
  const lines: string[] = [];
  let characters = 0;
  for (const item of items.slice(first - 1, first - 1 + MAX_RESOURCES)) {
    const line = JSON.stringify({ server, ...shortItem(item) });
    characters += line.length;
    if (characters > MAX_LISTED_CHARACTERS && lines.length > 0) break;
    lines.push(line);
  }
  if (lines.length === 0) return [`${server} has ${items.length} resources; offset ${first} is past the last.`];
  const next = first + lines.length;
  const left = items.length - next + 1;
  return [lines.join('\n'), ...(left > 0 ? [`${server} has ${left} more: continue with offset ${next}.`] : [])];
}

function shortItem(item: Record<string, unknown>): Record<string, string> {
  const fields = ['uri', 'uriTemplate', 'name', 'title', 'description', 'mimeType'];
  return Object.fromEntries(
    fields.flatMap((field) => {
      const value = item[field];
      return typeof value === 'string' && value !== '' ? [[field, cutText(value, MAX_FIELD)]] : [];
    }),
  );
}

async function resourceBlocks({ config, servers }: BuiltInParts, call: BuiltInCall): Promise<ContentBlock[]> {
  const { args, asks, signal, caller } = call;
  const server = String(args['server']);
  const connection = await servers.connection(caller, server);
  if (connection.capabilities['resources'] === undefined) {
    throw new FairleadError('ERR_MCP', `${server} has no resources`);
  }
  const timeoutMs = callTimeoutMs(config, server);
  const params = { uri: String(args['uri']) };
  const { contents } = await connection.request({ method: 'resources/read', params, asks, signal, timeoutMs });
  return (Array.isArray(contents) ? contents : []).map((resource: unknown) => ({ type: 'resource', resource }));
}

function texts(lines: readonly string[]): ContentBlock[] {
  return lines.map((text) => ({ type: 'text', text }));
}
