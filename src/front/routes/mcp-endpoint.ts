/** /mcp: Fairlead as an MCP server over Streamable HTTP. Knows who asks and which session is meant; the protocol is the agent thread's. Main thread. */
import { createHash } from 'node:crypto';
import type { McpExchange } from '../../../workers/agent/contract/mcp.js';
import { readText } from '../body.js';
import { badFrame } from '../frames.js';
import type { RequestHead } from '../http.js';
import type { Route, RouteCall } from '../router.js';
import { newSessionId, toSessionId, unknownSession } from '../session-id.js';
import type { McpExchanges } from '../mcp-exchanges.js';

/** The only headers that leave this thread; `authorization` is none of them. */
const HEADERS = new Set(['accept', 'content-type', 'last-event-id', 'fairlead-session']);
const MCP_HEADER = /^mcp-[a-z0-9-]{1,200}$/;
const MAX_HEADER = 8_192;
const METHODS = ['POST', 'GET', 'DELETE'] as const;

/** In front of the session's id there is nothing: the thread is found by it. */
const MCP_SESSION = /^([\w-]{1,128})\.[\w-]{1,128}$/;

export function mcpRoutes(exchanges: McpExchanges): Route[] {
  return METHODS.map((method): Route => ({
    method,
    path: '/mcp',
    segments: ['', 'mcp'],
    access: 'user',
    noHead: true,
    async handle({ exchange, user, query }: RouteCall, maxBodyBytes: number) {
      const { mcp: headers } = exchange.head;
      const body = method === 'POST' ? await readText(exchange, maxBodyBytes) : '';
      await exchanges.relay(exchange, { user, method, headers, body, ...targetOf(headers, query, user) });
    },
  }));
}

export function isMcpPath(path: string): boolean {
  return path === '/mcp';
}

/** What of a request's headers is MCP's. ERR_BAD_FRAME is left to the agent thread: what is not printable is left out here. */
export function mcpHeaders(each: (visit: (name: string, value: string) => void) => void): RequestHead['mcp'] {
  const headers: Record<string, string> = {};
  each((name, value) => {
    const known = HEADERS.has(name) || MCP_HEADER.test(name);
    if (known && value.length <= MAX_HEADER && /^[\x20-\x7e]*$/.test(value)) headers[name] = value;
  });
  return headers;
}

/** ERR_NO_SUCH_SESSION for what cannot be an id, ERR_BAD_FRAME where two are named. */
export function targetOf(
  headers: Readonly<Record<string, string>>,
  query: URLSearchParams,
  user: string,
): Pick<McpExchange, 'session' | 'by'> {
  const mcpSession = headers['mcp-session-id'];
  if (mcpSession !== undefined) {
    const session = MCP_SESSION.exec(mcpSession)?.[1];
    if (session === undefined) throw unknownSession();
    return { session, by: { mcpSession } };
  }
  const inQuery = query.get('session') ?? undefined;
  const inHeader = headers['fairlead-session'];
  if (inQuery !== undefined && inHeader !== undefined && inQuery !== inHeader) {
    throw badFrame('?session and Fairlead-Session name two sessions');
  }
  const named = inQuery ?? inHeader;
  if (named !== undefined) return { session: toSessionId(named), by: 'id' };
  if (isNewer(headers)) return { session: userSession(user), by: 'user' };
  return { session: newSessionId(), by: 'new' };
}

/** Requests of the newer era must say so in their headers (SEP-2243); an `initialize` of the older one cannot. */
function isNewer(headers: Readonly<Record<string, string>>): boolean {
  return (headers['mcp-protocol-version'] ?? '') >= '2026' || headers['mcp-method'] !== undefined;
}

/** Clients of the newer era have no session: the same one is kept for each user. Its name is no secret; it is the user's alone. */
export function userSession(user: string): string {
  return `mcp_${createHash('sha256').update(user).digest('base64url').slice(0, 24)}`;
}
