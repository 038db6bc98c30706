/** Reads a server's paginated lists within bounds. Agent threads. */
import type { Tool } from '@modelcontextprotocol/client';
import { FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import { LEFT_OUT } from '../../../../src/shared/mcp-lists.js';
import { toToolDefinitions, type ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { ServerRequestOptions, ServerConnection } from '../host/server-connection.js';

const MAX_PAGES = 100;
const MAX_ITEMS = 5_000;
/** A server that has said nothing of tools may not answer at all. */
const UNOFFERED_MS = 5_000;
/** Sentences about items that are left out. */
const MAX_TOLD = 20;
/** Limit of a server's tools as JSON: they cross threads, and each thread keeps them. */
const MAX_TOOLS_BYTES = 8 * 1024 * 1024;

export type ListOptions = Pick<ServerRequestOptions, 'signal' | 'timeoutMs' | 'asks'>;

/** The protocol's lists: method → the result's key for the items, and the capability that the list needs. */
const LISTS = {
  'tools/list': { items: 'tools', capability: 'tools' },
  'prompts/list': { items: 'prompts', capability: 'prompts' },
  'resources/list': { items: 'resources', capability: 'resources' },
  'resources/templates/list': { items: 'resourceTemplates', capability: 'resources' },
} as const;

export type ListMethod = keyof typeof LISTS;

export interface Listed {
  items: Record<string, unknown>[];
  /** How long the list holds, as the server says. */
  ttlMs?: number;
  /** Items that nobody can read, and why. Absent: there are none. */
  leftOut?: string[];
}

/**
 * Empty when the server lacks the capability. Tools are asked for all the same: many servers have some and do not say so.
 * Where the pages do not end, the first ones count. Errors of the connection. */
export async function listAll(connection: ServerConnection, method: ListMethod, options: ListOptions): Promise<Listed> {
  const { items: key, capability } = LISTS[method];
  const isOffered = connection.capabilities[capability] !== undefined;
  if (!isOffered && method !== 'tools/list') return { items: [] };
  const timeoutMs = isOffered ? options.timeoutMs : Math.min(options.timeoutMs, UNOFFERED_MS);
  const request = { ...options, timeoutMs, method, background: true };
  const items: Record<string, unknown>[] = [];
  const leftOut: string[] = [];
  const seen = new Set<string>();
  let ttlMs: number | undefined;
  let cursor: string | undefined;
  for (let page = 0; ; page++) {
    const params = cursor === undefined ? {} : { cursor };
    const result = await connection.request({ ...request, params }).catch((error: unknown): Record<string, unknown> => {
      if (isOffered || page > 0 || !isFairleadError(error, 'ERR_MCP')) throw error;
      return {};
    });
    const { [key]: found, nextCursor, ttlMs: ttl, _meta: meta } = result;
    leftOut.push(...(((meta as Record<string, unknown> | undefined)?.[LEFT_OUT] ?? []) as string[]));
    if (Array.isArray(found)) items.push(...(found as Record<string, unknown>[]));
    if (typeof ttl === 'number' && page === 0) ttlMs = ttl;
    if (typeof nextCursor !== 'string' || nextCursor === '') break;
    if (seen.has(nextCursor) || page + 1 >= MAX_PAGES || items.length > MAX_ITEMS) {
      // What has come can be used.
      leftOut.unshift(`the pages of ${method} do not end: only the first ${page + 1} were read`);
      break;
    }
    seen.add(nextCursor);
    cursor = nextCursor;
  }
  return {
    items: items.slice(0, MAX_ITEMS),
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(leftOut.length > 0 ? { leftOut: leftOut.slice(0, MAX_TOLD) } : {}),
  };
}

/** As `listAll`; ERR_MCP also when the definitions are too large to keep. */
export async function listServerTools(
  connection: ServerConnection,
  options: ListOptions,
): Promise<{ tools: ToolDefinition[] } & Pick<Listed, 'ttlMs' | 'leftOut'>> {
  const { items, ...rest } = await listAll(connection, 'tools/list', options);
  // The SDK has checked them against the method's schema.
  return { tools: boundTools(toToolDefinitions(items as unknown as Tool[])), ...rest };
}

function boundTools(tools: ToolDefinition[]): ToolDefinition[] {
  const bytes = JSON.stringify(tools).length;
  if (bytes <= MAX_TOOLS_BYTES) return tools;
  throw new FairleadError('ERR_MCP', `the server's tools are ${bytes} bytes of definitions: too large to keep`);
}
