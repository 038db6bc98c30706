/** A remote MCP server that answers a tool call with whatever bytes the call says: a body, events, or a raw HTTP answer. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Shape = 'json' | 'events' | 'socket';

const RESULTS: Record<string, object> = {
  initialize: {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'remote', version: '1' },
  },
  'tools/list': { tools: [{ name: 'raw', description: 'answers', inputSchema: { type: 'object' } }] },
  ping: {},
};

interface Request {
  id?: unknown;
  method: string;
  params?: { arguments?: { data?: string; shape?: Shape } };
}

export async function startRemoteServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      if (request.method !== 'POST') return void response.writeHead(405).end();
      answer(JSON.parse(body) as Request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer({ id, method, params }: Request, response: ServerResponse): void {
  if (id === undefined) return void response.writeHead(202).end();
  if (method !== 'tools/call') {
    const result = RESULTS[method];
    const error = { code: -32601, message: 'no such method' };
    response.writeHead(200, { 'Content-Type': 'application/json' });
    return void response.end(JSON.stringify({ jsonrpc: '2.0', id, ...(result ? { result } : { error }) }));
  }
  const { data = '', shape = 'json' } = params?.arguments ?? {};
  const text = Buffer.from(data, 'base64').toString().replaceAll('"THE-ID"', JSON.stringify(id));
  const last = JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'done' }] } });
  switch (shape) {
    case 'json':
      response.writeHead(200, { 'Content-Type': 'application/json' });
      return void response.end(text);
    case 'events':
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      for (const line of text.split('\n')) response.write(`data: ${line}\n\n`);
      return void response.end(`${text}\n\ndata: ${last}\n\n`);
    case 'socket':
      return void response.socket?.end(text);
  }
}
