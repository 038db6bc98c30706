/** What a server lists, page after page, bounded. Agent threads. */
import type { Tool } from '@modelcontextprotocol/client';
import { FairleadError } from '../../../../src/shared/errors.js';
import { toToolDefinition, type ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { ServerRequestOptions, ServerConnection } from '../host/server-connection.js';

const MAX_PAGES = 100;
const MAX_ITEMS = 5_000;
/** Of all tools of a server as JSON: they cross threads and stay in each. */
const MAX_TOOLS_BYTES = 8 * 1024 * 1024;

export type ListOptions = Pick<ServerRequestOptions, 'signal' | 'timeoutMs' | 'asks'>;

/** The lists that the protocol has: method → where its items stand, and whose capability it is. */
const LISTS = {
  'tools/list': { items: 'tools', capability: 'tools' },
  'prompts/list': { items: 'prompts', capability: 'prompts' },
  'resources/list': { items: 'resources', capability: 'resources' },
  'resources/templates/list': { items: 'resourceTemplates', capability: 'resources' },
} as const;

export type ListMethod = keyof typeof LISTS;

export interface Listed {
  items: Record<string, unknown>[];
  /** How long the server says that it holds. */
  ttlMs?: number;
}

/** Empty where the server has no such capability. ERR_MCP where its pages have no end; errors of the connection. */
export async function listAll(connection: ServerConnection, method: ListMethod, options: ListOptions): Promise<Listed> {
  const { items: key, capability } = LISTS[method];
  if (connection.capabilities[capability] === undefined) return { items: [] };
  const items: Record<string, unknown>[] = [];
  const seen = new Set<string>();
  let ttlMs: number | undefined;
  let cursor: string | undefined;
  for (let page = 0; ; page++) {
    const result = await connection.request({ ...options, method, params: cursor === undefined ? {} : { cursor } });
    const { [key]: found, nextCursor, ttlMs: ttl } = result;
    if (Array.isArray(found)) items.push(...(found as Record<string, unknown>[]));
    if (typeof ttl === 'number' && page === 0) ttlMs = ttl;
    if (typeof nextCursor !== 'string' || nextCursor === '') break;
    if (seen.has(nextCursor) || page + 1 >= MAX_PAGES || items.length > MAX_ITEMS) {
      throw new FairleadError('ERR_MCP', `${method} has no end: ${items.length} in ${page + 1} pages`);
    }
    seen.add(nextCursor);
    cursor = nextCursor;
  }
  return { items: items.slice(0, MAX_ITEMS), ...(ttlMs === undefined ? {} : { ttlMs }) };
}

/** As `listAll`; ERR_MCP where they are too large to be kept. */
export async function listServerTools(
  connection: ServerConnection,
  options: ListOptions,
): Promise<{ tools: ToolDefinition[]; ttlMs?: number }> {
  const { items, ttlMs } = await listAll(connection, 'tools/list', options);
  // The SDK has checked them: that is what the method's schema says.
  return {
    tools: boundTools((items as unknown as Tool[]).map(toToolDefinition)),
    ...(ttlMs === undefined ? {} : { ttlMs }),
  };
}

export function boundTools(tools: ToolDefinition[]): ToolDefinition[] {
  const bytes = JSON.stringify(tools).length;
  if (bytes <= MAX_TOOLS_BYTES) return tools;
  throw new FairleadError('ERR_MCP', `the server's tools are ${bytes} bytes of definitions: more than can be kept`);
}
