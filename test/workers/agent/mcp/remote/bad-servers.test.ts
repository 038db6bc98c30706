import t from 'tap';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ToolBox } from '../../test-tools.js';
import {
  beginV2,
  call,
  caller,
  modernHandler,
  remotes,
  request,
  serve,
  serveModern,
  serveSessions,
  textOf,
  until,
  type Handler,
  type HttpServer,
  type Teardown,
} from './remote-kit.js';
import { toNodeHandler } from '@modelcontextprotocol/node';

interface Rpc {
  id?: number | string;
  method: string;
  params?: Record<string, unknown>;
}

type Answer = (message: Rpc, response: ServerResponse) => void;

async function read(request: IncomingMessage): Promise<Rpc> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString() || '{}') as Rpc;
}

function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** A legacy server without sessions that is well but for what `answer` does to tool calls. */
function serveLegacy(t: Teardown, answer: Answer, others: Record<string, Answer> = {}): Promise<HttpServer> {
  return serve(t, async (request, response) => {
    if (request.method !== 'POST') return response.writeHead(405).end();
    const message = await read(request);
    const { id, method } = message;
    const other = others[method];
    if (other) return other(message, response);
    if (method === 'tools/call') return answer(message, response);
    if (method === 'initialize') {
      const result = {
        protocolVersion: '2025-11-25',
        capabilities: { tools: {} },
        serverInfo: { name: 'bad', version: '1' },
      };
      return json(response, { jsonrpc: '2.0', id, result });
    }
    if (id === undefined) return response.writeHead(202).end();
    return json(response, { jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } });
  });
}

const result = (id: unknown, text = 'fine') => ({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } });
const sse = (message: unknown): string => `event: message\ndata: ${JSON.stringify(message)}\n\n`;
const stream = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { 'content-type': 'text/event-stream' });

async function toolCall(t: Teardown, answer: Answer, others: Record<string, Answer> = {}) {
  const server = await serveLegacy(t, answer, others);
  const backend = remotes(t, { bad: server.url });
  const connection = await backend.get(caller(), 'bad');
  return { server, backend, connection };
}

void t.test('a server that is down is reported, trips the breaker, and is found when it is back', async (t) => {
  const box = new ToolBox();
  const first = await serveModern(t, box);
  await first.close();
  const backend = remotes(t, { one: first.url }, { mcp: { idleMs: 400 } }); // checked five times a second
  await t.rejects(backend.get(caller(), 'one'), {
    code: 'ERR_UNAVAILABLE',
    message: /ECONNREFUSED/,
  });
  t.match(backend.status('one'), { state: /degraded|down/, lastError: /ECONNREFUSED/ });
  await until(() => backend.status('one')?.state === 'down'); // it is probed, since a session has used it
  await t.rejects(backend.get(caller(), 'one'), {
    code: 'ERR_UNAVAILABLE',
    message: /failed several times in a row|ECONNREFUSED/,
  });
  await serveModern(t, box, first.port);
  await until(() => backend.status('one')?.state === 'healthy', 30_000);
  const connection = await backend.get(caller(), 'one');
  t.equal(textOf(await connection.callTool(call('echo', { text: 'back' }))), 'echo: back');
});

void t.test('a server that hangs costs no more than its deadline', async (t) => {
  const server = await serve(t, () => undefined);
  const backend = remotes(t, { bad: server.url }, { mcp: { requestTimeoutMs: 300 } });
  await t.rejects(backend.get(caller(), 'bad'), { message: /timed out|did not answer/i });
  t.equal(backend.status('bad')?.state, 'degraded');
});

void t.test('a tool call that hangs ends at its deadline and lets its connection go', async (t) => {
  let closed = false;
  const { connection } = await toolCall(t, (_message, response) => response.on('close', () => (closed = true)));
  await t.rejects(connection.callTool(call('x', {}, { timeoutMs: 200 })), {
    code: 'ERR_MCP',
    message: /within 200 ms/,
  });
  await until(() => closed);
  t.pass('the exchange is over');
});

for (const status of [200, 404]) {
  void t.test(`a web page (${status}) in place of MCP is told as that, and not printed`, async (t) => {
    const server = await serve(t, (_request, response) =>
      response.writeHead(status, { 'content-type': 'text/html' }).end('<html><body>secret page</body></html>'),
    );
    const backend = remotes(t, { bad: server.url });
    const error = await backend.get(caller(), 'bad').catch((error: unknown) => error as Error & { code: string });
    t.match(error, { code: 'ERR_MCP', message: /check (its|the) url/ });
    t.notMatch(error, { message: /secret page/ });
  });
}

void t.test('a plain text in place of an answer is an error that shows how it begins', async (t) => {
  const { connection } = await toolCall(t, (_message, response) =>
    response.writeHead(200, { 'content-type': 'text/plain' }).end('out of order'),
  );
  await t.rejects(connection.callTool(call('x')), { code: 'ERR_MCP', message: /no JSON: out of order/i });
});

void t.test('five 500s in a row trip the breaker', async (t) => {
  let calls = 0;
  const { connection, backend } = await toolCall(t, (_message, response) => {
    calls++;
    response.writeHead(500, { 'content-type': 'text/plain' }).end('out of order');
  });
  for (let i = 0; i < 5; i++) {
    await t.rejects(connection.callTool(call('x')), { code: 'ERR_UNAVAILABLE', message: /HTTP 500.*out of order/ });
  }
  t.equal(calls, 5, 'a tool call is not repeated');
  t.equal(backend.status('bad')?.state, 'down');
  await t.rejects(connection.callTool(call('x')), {
    code: 'ERR_UNAVAILABLE',
    message: /failed several times in a row/,
  });
  t.equal(calls, 5);
});

const busy = (response: ServerResponse): unknown => response.writeHead(503, { 'retry-after': '0' }).end();

void t.test('503: safe requests are retried, a tool call is not', async (t) => {
  const left = { 'tools/list': 2 };
  let calls = 0;
  const { connection } = await toolCall(
    t,
    (_message, response) => {
      calls++;
      busy(response);
    },
    {
      'tools/list': ({ id }, response) =>
        left['tools/list']-- > 0 ? busy(response) : json(response, { jsonrpc: '2.0', id, result: { tools: [] } }),
    },
  );
  t.same(await connection.request(request('tools/list')), { tools: [] });
  await t.rejects(connection.callTool(call('x')), { code: 'ERR_UNAVAILABLE', message: /HTTP 503/ });
  t.equal(calls, 1);
});

void t.test('429 with a long Retry-After is reported, not waited for', async (t) => {
  const { connection } = await toolCall(t, () => undefined, {
    'tools/list': (_message, response) => response.writeHead(429, { 'retry-after': '60' }).end(),
  });
  await t.rejects(connection.request(request('tools/list')), { code: 'ERR_UNAVAILABLE', retryAfterMs: 60_000 });
});

void t.test(
  'a server that closes in the middle of a call: the call ends at once, and says that it may have run',
  async (t) => {
    const { connection } = await toolCall(t, (_message, response) => {
      stream(response).write(
        sse({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } }),
      );
      setImmediate(() => response.destroy());
    });
    await t.rejects(connection.callTool(call('x')), { code: 'ERR_UNAVAILABLE', message: /may have run/ });
  },
);

for (const [what, answer] of [
  ['202', (_: Rpc, response: ServerResponse) => response.writeHead(202).end()],
  ['an answer to something else', (_: Rpc, response: ServerResponse) => json(response, result('another'))],
  [
    'a notification',
    (_: Rpc, response: ServerResponse) => json(response, { jsonrpc: '2.0', method: 'notifications/x' }),
  ],
] as const) {
  void t.test(`${what} in place of the answer ends the call`, async (t) => {
    const { connection } = await toolCall(t, answer);
    await t.rejects(connection.callTool(call('x')), { code: 'ERR_UNAVAILABLE', message: /before its answer/ });
  });
}

void t.test('204 in place of the answer ends the call, and the result says that it was empty', async (t) => {
  const { connection } = await toolCall(t, (_message, response) => response.writeHead(204).end());
  await t.rejects(connection.callTool(call('x')), { code: 'ERR_MCP', message: /the answer was dropped: it is empty/ });
});

void t.test('a stream that ends in order but without the answer ends the call as well', async (t) => {
  const { connection } = await toolCall(t, (_message, response) => stream(response).end(': nothing\n\n'));
  await t.rejects(connection.callTool(call('x')), { code: 'ERR_UNAVAILABLE', message: /before its answer/ });
});

const MB = Buffer.alloc(1024 * 1024, 'x');

/** As much as is taken, 100 MB at most. */
async function pour(response: ServerResponse, sent: { mb: number }): Promise<void> {
  const gone = new AbortController();
  const { signal } = gone;
  response.once('close', () => gone.abort());
  for (; sent.mb < 100 && !response.destroyed; sent.mb++) {
    if (!response.write(MB)) await once(response, 'drain', { signal }).catch(() => undefined); // closed: then there is no more
  }
  response.end();
}

for (const type of ['application/json', 'text/event-stream']) {
  void t.test(`100 MB as ${type} end the call, and are not read to their end`, async (t) => {
    const sent = { mb: 0 };
    const { connection } = await toolCall(t, ({ id }, response) => {
      response.writeHead(200, { 'content-type': type });
      response.write(type === 'application/json' ? '{"a":"' : `id: ${String(id)}\ndata: `);
      void pour(response, sent);
    });
    await t.rejects(connection.callTool(call('x')), { code: 'ERR_MCP', message: /more than 16 MB/ });
    t.ok(sent.mb < 60, `${sent.mb} MB were sent`);
    t.equal(
      textOf(await (await toolCall(t, ({ id }, r) => json(r, result(id)))).connection.callTool(call('x'))),
      'fine',
    );
  });
}

void t.test('pages of tools/list without end are an error, not a loop', async (t) => {
  let pages = 0;
  const { connection } = await toolCall(t, () => undefined, {
    'tools/list': ({ id }, response) => {
      const tools = [{ name: `t${pages}`, inputSchema: { type: 'object' } }];
      json(response, { jsonrpc: '2.0', id, result: { tools, nextCursor: `${pages++}` } });
    },
  });
  await t.rejects(connection.request(request('tools/list')), { code: 'ERR_MCP' });
  t.ok(pages < 200, `${pages} pages were asked for`);
});

void t.test('10,000 notifications within one call leave the thread its time, and the answer comes', async (t) => {
  let ticks = 0;
  const { connection } = await toolCall(t, async ({ id, params }, response) => {
    const progressToken = (params?.['_meta'] as { progressToken?: unknown } | undefined)?.progressToken;
    stream(response);
    for (let progress = 1; progress <= 10_000; progress++) {
      const method = progress % 2 === 0 ? 'notifications/progress' : 'notifications/message';
      const more = progress % 2 === 0 ? { progressToken, progress } : { level: 'info', data: 'flood' };
      response.write(sse({ jsonrpc: '2.0', method, params: more }));
      if (progress % 500 === 0) await new Promise(setImmediate);
    }
    response.end(sse(result(id)));
  });
  const timer = setInterval(() => ticks++, 5);
  t.teardown(() => clearInterval(timer));
  t.equal(textOf(await connection.callTool(call('x'))), 'fine');
  t.ok(ticks > 3, `a 5 ms timer fired ${ticks} times`);
});

void t.test('an answer that comes twice, and answers to what was not asked, change nothing', async (t) => {
  const { connection } = await toolCall(t, ({ id }, response) => {
    stream(response).end(sse(result(9_999, 'not asked')) + sse(result(id, 'first')) + sse(result(id, 'second')));
  });
  t.equal(textOf(await connection.callTool(call('x'))), 'first');
  t.equal(textOf(await connection.callTool(call('x'))), 'first');
});

void t.test('a session that is released while it opens is ended at the server', async (t) => {
  const server = await serveSessions(t, beginV2(new ToolBox()));
  const backend = remotes(t, { one: server.url });
  const opening = backend.get(caller(), 'one').catch(() => undefined);
  await until(() => server.seen.length > 0);
  await backend.releaseSession('s-1');
  await opening;
  await until(() => server.sessions.size === 0);
  t.pass('ended');
});

void t.test('a stream that the server leaves open after the response is closed, and its slot is free', async (t) => {
  const open = new Set<ServerResponse>();
  const { connection } = await toolCall(t, ({ id }, response) => {
    open.add(response);
    response.on('close', () => open.delete(response));
    stream(response).write(sse(result(id)));
  });
  t.equal(textOf(await connection.callTool(call('x'))), 'fine');
  t.equal(open.size, 1);
  await until(() => open.size === 0, 20_000);
  t.pass('closed by us');
});

void t.test('more calls than connections wait for each other, and none is lost', async (t) => {
  const server = await serve(t, toNodeHandler(modernHandler(new ToolBox())) as unknown as Handler);
  const backend = remotes(t, { one: server.url }, { mcp: { maxConnections: 5 } });
  const connection = await backend.get(caller(), 'one');
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => textOf(await connection.callTool(call('echo', { text: `${i}` })))),
  );
  t.same(
    answers,
    Array.from({ length: 200 }, (_, i) => `echo: ${i}`),
  );
  t.ok(server.sockets() <= 5, `${server.sockets()} connections`);
});
