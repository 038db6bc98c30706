/**
 * The remote MCP server, a process of its own: SDK v2 over Streamable HTTP, `modern` or `legacy` by its argument.
 * Sends `{ url }`, then answers every message with `{ sockets, most, sessions }`: connections in all and at once, sessions held.
 */
import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

function createTools(): McpServer {
  const server = new McpServer({ name: 'bench', version: '1' }, { capabilities: { tools: {} } });
  server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, async ({ text }) => ({
    content: [{ type: 'text', text }],
  }));
  return server;
}

const sessions = new Map<string, NodeStreamableHTTPServerTransport>();

async function legacy(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const known = sessions.get(String(request.headers['mcp-session-id']));
  if (known) {
    await known.handleRequest(request, response);
    return;
  }
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => void sessions.set(id, transport),
    onsessionclosed: (id) => void sessions.delete(id),
  });
  await createTools().connect(transport);
  await transport.handleRequest(request, response);
}

const modern = toNodeHandler(createMcpHandler(createTools, { legacy: 'reject' })) as unknown as Handler;
const handler: Handler = process.argv[2] === 'legacy' ? legacy : modern;
const server = createServer((request, response) => void handler(request, response));
let sockets = 0;
let most = 0;
let now = 0;
server.on('connection', (socket) => {
  sockets++;
  most = Math.max(most, ++now);
  socket.on('close', () => now--);
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.send?.({ url: `http://127.0.0.1:${port}/mcp` });
});
process.on('message', () => process.send?.({ sockets, most, sessions: sessions.size }));
process.on('disconnect', () => process.exit(0));
