/** Routes of /mcp: finds the user and the session of a request and relays it; the agent thread speaks MCP. Main thread. */
import { createHash } from 'node:crypto';
import type { McpExchange } from '../../../workers/agent/contract/mcp.js';
import { badFrame } from '../frames.js';
import type { RequestHead } from '../http.js';
import type { Route, RouteCall } from '../router.js';
import { newSessionId, toSessionId, unknownSession } from '../session-id.js';
import type { McpExchanges } from '../mcp-exchanges.js';

/** Only these headers and MCP's own leave this thread; `authorization` never does. */
const HEADERS = new Set(['accept', 'content-type', 'last-event-id', 'fairlead-session']);
const MCP_HEADER = /^mcp-[a-z0-9-]{1,200}$/;
const MAX_HEADER = 8_192;
const METHODS = ['POST', 'GET', 'DELETE'] as const;

/** An MCP session's id begins with the id of our session, which decides the thread. */
const MCP_SESSION = /^([\w-]{1,128})\.[\w-]{1,128}$/;

export function mcpRoutes(exchanges: McpExchanges): Route[] {
  return METHODS.map((method): Route => ({
    method,
    path: '/mcp',
    segments: ['', 'mcp'],
    access: 'user',
    noHead: true,
    // The agent thread parses it.
    body: method === 'POST' ? 'json-text' : 'none',
    async handle({ exchange, user, person, who, query }: RouteCall, body: unknown) {
      const { mcp: headers } = exchange.head;
      const text = typeof body === 'string' ? body : '';
      await exchanges.relay(exchange, person, {
        user,
        who,
        method,
        headers,
        body: text,
        ...targetOf(headers, query, user),
      });
    },
  }));
}

export function isMcpPath(path: string): boolean {
  return path === '/mcp';
}

/** Picks MCP's headers. It leaves out unprintable values; the agent thread answers for a header that is missing then. */
export function mcpHeaders(each: (visit: (name: string, value: string) => void) => void): RequestHead['mcp'] {
  const headers: Record<string, string> = {};
  each((name, value) => {
    const known = HEADERS.has(name) || MCP_HEADER.test(name);
    if (known && value.length <= MAX_HEADER && /^[\x20-\x7e]*$/.test(value)) headers[name] = value;
  });
  return headers;
}

/** The session that the request means. ERR_NO_SUCH_SESSION when it cannot be an id, ERR_BAD_FRAME when it names two. */
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
  if (isModern(headers)) return { session: userSession(user), by: 'user' };
  return { session: newSessionId(), by: 'new' };
}

/** Modern requests must say so in their headers (SEP-2243); a legacy `initialize` cannot. */
function isModern(headers: Readonly<Record<string, string>>): boolean {
  return (headers['mcp-protocol-version'] ?? '') >= '2026' || headers['mcp-method'] !== undefined;
}

/** Modern clients have no session, so each user has one that is kept. Its id is no secret: only the user may use it. */
export function userSession(user: string): string {
  return `mcp_${createHash('sha256').update(user).digest('base64url').slice(0, 24)}`;
}
