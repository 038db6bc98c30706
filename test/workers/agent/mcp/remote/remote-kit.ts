/** Real MCP servers over HTTP on port 0, of both SDKs and both protocols, and a backend for them. */
import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, inputRequired, type McpHttpHandler, type McpServer } from '@modelcontextprotocol/server';
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { z } from 'zod';
import { parseConfig } from '../../../../../src/shared/config.js';
import { registry } from '../../../../../src/shared/metrics.js';
import { Remotes, type RemotesOptions } from '../../../../../workers/agent/mcp/remote/remotes.js';
import type { ServerAsks, ToolCall } from '../../../../../workers/agent/mcp/host/server-connection.js';
import { createToolServer, type ToolBox } from '../../test-tools.js';

export const log = pino({ level: 'silent' });

export interface Teardown {
  teardown(work: () => unknown): void;
}

export interface Seen {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
}

export interface HttpServer {
  url: string;
  port: number;
  seen: Seen[];
  /** Connections that were ever made to it. */
  sockets: () => number;
  close(): Promise<void>;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

export async function serve(t: Teardown, handler: Handler, port = 0): Promise<HttpServer> {
  const seen: Seen[] = [];
  let sockets = 0;
  const server: Server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    seen.push({ method, url, headers });
    void handler(request, response);
  });
  server.on('connection', () => sockets++);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  t.teardown(close);
  const { port: bound } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${bound}/mcp`, port: bound, seen, sockets: () => sockets, close };
}

export function remotes(
  t: Teardown,
  servers: Record<string, string | Record<string, unknown>>,
  { mcp = {}, ...options }: RemotesOptions & { mcp?: Record<string, unknown> } = {},
): Remotes {
  const mcpServers = Object.fromEntries(
    Object.entries(servers).map(([name, server]) => [name, typeof server === 'string' ? { url: server } : server]),
  );
  const config = parseConfig({ mcp: { allowLoopback: true, requestTimeoutMs: 5_000, ...mcp }, mcpServers }, {});
  registry.clear();
  const made = new Remotes(config, log, options);
  t.teardown(() => made.disconnect());
  return made;
}

export const NOBODY: ServerAsks = { elicit: async () => ({ action: 'cancel' }) };

export function call(name: string, args: Record<string, unknown> = {}, more: Partial<ToolCall> = {}): ToolCall {
  const signal = new AbortController().signal;
  return { name, args, signal, timeoutMs: 15_000, asks: NOBODY, onOutput: () => undefined, ...more };
}

export const request = (method: string, params: Record<string, unknown> = {}) => ({
  method,
  params,
  signal: new AbortController().signal,
  timeoutMs: 15_000,
  asks: NOBODY,
});

/** A caller of its own for each session. */
export const caller = (session = 's-1', user = 'user-1') => ({ session, user });

/** SDK v2, modern: nothing is kept between requests. `ask` answers with a wish for input. */
export function modernHandler(box: ToolBox, setUp: (server: McpServer) => void = () => undefined): McpHttpHandler {
  return createMcpHandler(
    () => {
      const server = createToolServer(box);
      server.registerTool('ask-modern', { inputSchema: z.object({}) }, async (_args, { mcpReq }) => {
        const answer = mcpReq.inputResponses?.['colour'];
        if (answer) return { content: [{ type: 'text', text: JSON.stringify(answer) }] };
        const requestedSchema = { type: 'object' as const, properties: { colour: { type: 'string' as const } } };
        return inputRequired({
          inputRequests: { colour: inputRequired.elicit({ message: 'Which colour?', requestedSchema }) },
        });
      });
      setUp(server);
      return server;
    },
    { legacy: 'reject' },
  );
}

export async function serveModern(
  t: Teardown,
  box: ToolBox,
  port = 0,
): Promise<HttpServer & { handler: McpHttpHandler }> {
  const handler = modernHandler(box);
  const server = await serve(t, toNodeHandler(handler) as unknown as Handler, port);
  return { ...server, handler };
}

interface SessionTransport {
  sessionId?: string | undefined;
  handleRequest(request: IncomingMessage, response: ServerResponse): Promise<void>;
  close(): Promise<void>;
}

export interface LegacyServer extends HttpServer {
  sessions: Map<string, SessionTransport>;
  /** All sessions are forgotten, as if it had been started again. */
  forget(): Promise<void>;
}

/** How a session begins: a transport that is connected to a server of its own. */
export type Begin = (onSession: (id: string) => void) => Promise<SessionTransport>;

/** Legacy sessions, kept as the SDK's examples do. */
export async function serveSessions(
  t: Teardown,
  begin: Begin,
  { unknown = 404, port = 0 } = {},
): Promise<LegacyServer> {
  const sessions = new Map<string, SessionTransport>();
  const server = await serve(
    t,
    async (request, response) => {
      const id = request.headers['mcp-session-id'];
      if (typeof id !== 'string') {
        const transport = await begin((made) => sessions.set(made, transport));
        await transport.handleRequest(request, response);
        return;
      }
      const session = sessions.get(id);
      if (!session) {
        const error = { code: -32001, message: 'Session not found' };
        response.writeHead(unknown, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ jsonrpc: '2.0', error, id: null }));
        return;
      }
      await session.handleRequest(request, response);
      if (request.method === 'DELETE') sessions.delete(id);
    },
    port,
  );
  const forget = async (): Promise<void> => {
    const all = [...sessions.values()];
    sessions.clear();
    await Promise.all(all.map((each) => each.close()));
  };
  t.teardown(forget);
  return { ...server, sessions, forget };
}

/** SDK v2 with the legacy protocol. */
export function beginV2(box: ToolBox, setUp: (server: McpServer) => void = () => undefined): Begin {
  return async (onSession) => {
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: onSession,
      eventStore: new MemoryEvents(),
      retryInterval: 100,
    });
    const server = createToolServer(box);
    setUp(server);
    await server.connect(transport);
    return transport;
  };
}

/** What lets a stream that was cut be taken up again. */
export class MemoryEvents {
  readonly #events: { id: string; stream: string; message: never }[] = [];

  async storeEvent(stream: string, message: unknown): Promise<string> {
    const id = `${stream}_${this.#events.length}`;
    this.#events.push({ id, stream, message: message as never });
    return id;
  }

  async replayEventsAfter(
    last: string,
    { send }: { send: (id: string, message: never) => Promise<void> },
  ): Promise<string> {
    const at = this.#events.findIndex(({ id }) => id === last);
    const { stream } = this.#events[at]!;
    for (const event of this.#events.slice(at + 1)) if (event.stream === stream) await send(event.id, event.message);
    return stream;
  }
}

export function textOf(result: { content: unknown }): string {
  const [block] = result.content as { text?: string }[];
  return block?.text ?? '';
}

/** Resolves once it holds. Only for what nothing tells of. */
export async function until(holds: () => boolean, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`still not so after ${timeoutMs} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
