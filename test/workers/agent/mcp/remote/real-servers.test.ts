import t, { type Test } from 'tap';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { z } from 'zod';
import type { ServerHealth } from '../../../../../workers/agent/contract/mcp.js';
import type { ServerConnection } from '../../../../../workers/agent/mcp/host/server-connection.js';
import { deferred, eachLine, freePort, stopChild, watchExit, within } from '../../../../helpers/processes.js';
import {
  call,
  caller,
  remotes,
  request,
  serve,
  serveSessions,
  textOf,
  until,
  type Begin,
  type Teardown,
} from './remote-kit.js';

const EVERYTHING = createRequire(import.meta.url)
  .resolve('@modelcontextprotocol/server-everything/package.json')
  .replace('package.json', 'dist/index.js');
const START_MS = 60_000;

type Mode = 'streamableHttp' | 'sse';

async function startEverything(t: Teardown, mode: Mode, port: number): Promise<{ stop(): Promise<unknown> }> {
  const child: ChildProcess = spawn(process.execPath, [EVERYTHING, mode], {
    env: { ...process.env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = watchExit(child);
  t.teardown(() => stopChild(child, exited, 1_000));
  const listening = deferred<void>();
  for (const stream of [child.stdout!, child.stderr!]) {
    eachLine(stream, (line) => {
      if (/listening on port|running on port/.test(line)) listening.resolve();
    });
  }
  await within(listening.promise, START_MS, () => 'server-everything did not start');
  return { stop: () => stopChild(child, exited, 1_000) };
}

const ACCEPT = { elicit: async () => ({ action: 'accept' as const, content: { name: 'Ann', check: true } }) };

async function tryEverything(t: Test, connection: ServerConnection): Promise<void> {
  const { tools } = (await connection.request(request('tools/list'))) as { tools: { name: string }[] };
  t.ok(
    tools.some(({ name }) => name === 'get-sum'),
    'listed',
  );
  t.match(textOf(await connection.callTool(call('get-sum', { a: 2, b: 3 }))), /5/, 'called');
  const progress: number[] = [];
  const operation = { duration: 0.3, steps: 3 };
  const onProgress = ({ progress: done }: { progress: number }): unknown => progress.push(done);
  await connection.callTool(
    call('trigger-long-running-operation', operation, { onProgress: (p) => void onProgress(p) }),
  );
  t.same(progress, [1, 2, 3], 'progress seen');
  const answer = await connection.callTool(call('trigger-elicitation-request', {}, { asks: ACCEPT }));
  t.match(JSON.stringify(answer.content), /Ann/, 'elicitation answered');
  const abort = new AbortController();
  const long = { duration: 60, steps: 600 };
  const running = connection.callTool(
    call('trigger-long-running-operation', long, { signal: abort.signal, onProgress: () => abort.abort() }),
  );
  await t.rejects(running, { code: 'ERR_CANCELLED' }, 'cancelled in the middle');
  t.match(textOf(await connection.callTool(call('echo', { message: 'on' }))), /on/, 'and goes on');
  const { resources } = (await connection.request(request('resources/list'))) as { resources: { uri: string }[] };
  t.ok(resources.length > 0);
}

for (const [mode, path, type] of [
  ['streamableHttp', 'mcp', undefined],
  ['sse', 'sse', undefined],
  ['sse', 'sse', 'sse'],
] as const) {
  void t.test(`server-everything over ${mode}${type ? `, type ${type}` : ''}, and restarted under us`, async (t) => {
    const port = await freePort();
    const first = await startEverything(t, mode, port);
    const url = `http://127.0.0.1:${port}/${path}`;
    const backend = remotes(t, { everything: { url, ...(type ? { type } : {}) } });
    const connection = await backend.get(caller(), 'everything');
    await tryEverything(t, connection);
    t.match(backend.status('everything'), { state: 'healthy', era: 'legacy' } satisfies Partial<ServerHealth>);
    const running = connection.callTool(call('trigger-long-running-operation', { duration: 60, steps: 1 }));
    running.catch(() => undefined); // looked at below
    await connection.request(request('ping')); // later than the call, which is at the server then
    await first.stop();
    await t.rejects(running, { code: 'ERR_UNAVAILABLE' }, 'dies between the start and the result');
    await startEverything(t, mode, port);
    await until(() => backend.status('everything')?.state !== 'down', 30_000);
    await connection.request(request('tools/list'));
    t.match(textOf(await connection.callTool(call('get-sum', { a: 4, b: 4 }))), /8/, 'a new session at the new server');
  });
}

function serverV1(): McpServerV1 {
  const server = new McpServerV1({ name: 'v1', version: '1' });
  server.registerTool('echo', { inputSchema: { text: z.string() } }, async ({ text }) => ({
    content: [{ type: 'text', text: `v1: ${text}` }],
  }));
  // On the stream of the session, not on that of the call.
  server.registerTool('ask-aside', { inputSchema: {} }, async () => {
    const answer = await server.server.elicitInput({
      message: 'Which colour?',
      requestedSchema: { type: 'object', properties: { colour: { type: 'string' } } },
    });
    return { content: [{ type: 'text', text: JSON.stringify(answer) }] };
  });
  return server;
}

const beginV1: Begin = async (onSession) => {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: onSession,
  });
  await serverV1().connect(transport);
  return transport;
};

const RED = { elicit: async () => ({ action: 'accept' as const, content: { colour: 'red' } }) };

void t.test(
  'SDK v1 over Streamable HTTP: its questions come on a stream of their own, also with more sessions than streams',
  async (t) => {
    const server = await serveSessions(t, beginV1);
    const backend = remotes(t, { v1: server.url }, { mcp: { maxConnections: 8 } });
    await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const connection = await backend.get(caller(`s-${i}`, `u-${i}`), 'v1');
        t.equal(textOf(await connection.callTool(call('echo', { text: `${i}` }))), `v1: ${i}`);
        t.match(textOf(await connection.callTool(call('ask-aside', {}, { asks: RED }))), /red/);
      }),
    );
    t.equal(server.sessions.size, 12);
    await backend.disconnect();
    t.equal(server.sessions.size, 0);
  },
);

void t.test('SDK v1 over HTTP+SSE, found out by itself', async (t) => {
  const transports = new Map<string, SSEServerTransport>();
  const server = await serve(t, async (incoming, response) => {
    const url = new URL(incoming.url ?? '', 'http://localhost');
    if (incoming.method === 'GET' && url.pathname === '/mcp') {
      const transport = new SSEServerTransport('/message', response);
      transports.set(transport.sessionId, transport);
      response.on('close', () => transports.delete(transport.sessionId));
      await serverV1().connect(transport);
      return;
    }
    const transport = transports.get(url.searchParams.get('sessionId') ?? '');
    if (incoming.method === 'POST' && transport) await transport.handlePostMessage(incoming, response);
    else response.writeHead(404).end();
  });
  const backend = remotes(t, { v1: server.url });
  const connection = await backend.get(caller(), 'v1');
  t.equal(textOf(await connection.callTool(call('echo', { text: 'a' }))), 'v1: a');
  t.match(textOf(await connection.callTool(call('ask-aside', {}, { asks: RED }))), /red/);
  t.equal(transports.size, 1);
  await backend.releaseSession('s-1');
  await until(() => transports.size === 0);
  t.pass('its stream is closed with the session');
});
