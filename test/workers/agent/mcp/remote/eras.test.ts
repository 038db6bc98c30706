/** Which protocol a `url` server is taken to speak, by whatever it answers to the newer one's first request. */
import t from 'tap';
import type { ServerResponse } from 'node:http';
import { listServerTools } from '../../../../../workers/agent/mcp/catalogue/list-all.js';
import { badAnswer, INITIALIZE, resultOf } from '../../../../helpers/bad-mcp.js';
import { ToolBox } from '../../test-tools.js';
import {
  call,
  caller,
  remotes,
  request,
  serve,
  serveModern,
  textOf,
  type HttpServer,
  type Teardown,
} from './remote-kit.js';

/** A legacy server; `probed` answers what is not of its protocol. */
async function serveOlder(
  t: Teardown,
  probed: (response: ServerResponse, method: string) => unknown,
  noted = 202,
): Promise<OlderServer> {
  const methods: string[] = [];
  const answers = { 'tools/call x': resultOf({ content: 'fine' }) };
  const server = await serve(t, async (request, response) => {
    if (request.method !== 'POST') return response.writeHead(405).end();
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks);
    const { method } = JSON.parse(text.toString()) as { method: string };
    methods.push(method);
    if (method === 'server/discover') return probed(response, method);
    const answer = await badAnswer(answers, [text]);
    if (answer === undefined) return response.writeHead(noted).end();
    return response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
  });
  return { ...server, methods };
}

interface OlderServer extends HttpServer {
  methods: string[];
}

const empty = (status: number) => (response: ServerResponse) => response.writeHead(status).end();
const typed = (type: string, body: string) => (response: ServerResponse) =>
  response.writeHead(200, { 'content-type': type }).end(body);

const PROBED: Record<string, (response: ServerResponse) => unknown> = {
  ...Object.fromEntries(
    [202, 204, 302, 400, 401, 403, 404, 405, 429, 500, 501, 502, 503].map((status) => [status, empty(status)]),
  ),
  'a short pause': (response) => response.writeHead(429, { 'retry-after': '0.05' }).end(),
  'a web page': typed('text/html', '<html>welcome</html>'),
  'an empty body': typed('application/json', ''),
  'no JSON': typed('application/json', 'not found'),
  'plain text': typed('text/plain', 'not found'),
  'an empty object': typed('application/json', '{}'),
  'an answer to nobody': typed('application/json', '{"jsonrpc":"2.0","id":null,"result":{}}'),
  'the handshake of the older protocol': typed('application/json', INITIALIZE.replace('"$ID"', 'null')),
  'an empty stream': typed('text/event-stream', ''),
  'a cut connection': (response) => response.destroy(),
  silence: () => undefined,
};

for (const [what, probed] of Object.entries(PROBED)) {
  void t.test(`${what} to the newer protocol’s first request means the older one`, async (t) => {
    const server = await serveOlder(t, probed);
    const backend = remotes(t, { old: server.url }, { mcp: { requestTimeoutMs: 3_000 } });
    const connection = await backend.get(caller(), 'old');
    t.equal(connection.era, 'legacy');
    t.equal(textOf(await connection.callTool(call('x'))), 'fine');
    t.equal(server.methods.filter((method) => method === 'initialize').length, 1);
  });
}

void t.test('a server that asks for a pause gets no second request', async (t) => {
  const server = await serveOlder(t, (response) => response.writeHead(429, { 'retry-after': '60' }).end());
  const backend = remotes(t, { old: server.url });
  await t.rejects(backend.get(caller(), 'old'), { code: 'ERR_UNAVAILABLE', retryAfterMs: 60_000 });
  t.same(server.methods, ['server/discover']);
});

void t.test('an error for the notification that ends the handshake costs nothing', async (t) => {
  for (const status of [500, 503]) {
    const server = await serveOlder(t, empty(404), status);
    const backend = remotes(t, { old: server.url });
    const connection = await backend.get(caller(), 'old');
    t.equal(textOf(await connection.callTool(call('x'))), 'fine');
    t.equal(server.methods.filter((method) => method === 'initialize').length, 1);
  }
});

void t.test('era: legacy asks nothing of the newer protocol', async (t) => {
  const server = await serveOlder(t, empty(500));
  const backend = remotes(t, { old: { url: server.url, era: 'legacy' } });
  t.equal((await backend.get(caller(), 'old')).era, 'legacy');
  t.same(server.methods, ['initialize', 'notifications/initialized']);
});

void t.test('era: modern never falls back to the older protocol', async (t) => {
  const server = await serveOlder(t, empty(404));
  const modern = await serveModern(t, new ToolBox());
  const backend = remotes(t, {
    old: { url: server.url, era: 'modern' },
    new: { url: modern.url, era: 'modern' },
  });
  await t.rejects(backend.get(caller(), 'old'), { code: 'ERR_MCP' });
  t.notOk(server.methods.includes('initialize'));
  t.equal((await backend.get(caller(), 'new')).era, 'modern');
});

void t.test('tools of a server that does not say that it has some are listed', async (t) => {
  const initialize = INITIALIZE.replace('"tools":{},', '');
  const answers = [{ initialize, 'tools/list': resultOf({ tools: [{ name: 'x' }] }) }, { initialize }];
  for (const [index, each] of answers.entries()) {
    const server = await serve(t, async (request, response) => {
      if (request.method !== 'POST') return response.writeHead(405).end();
      const answer = await badAnswer(each, request);
      return response.writeHead(answer === undefined ? 202 : 200, { 'content-type': 'application/json' }).end(answer);
    });
    const connection = await remotes(t, { old: server.url }).get(caller(), 'old');
    t.notOk('tools' in connection.capabilities);
    const { tools } = await listServerTools(connection, request('tools/list'));
    t.same(
      tools.map(({ name }) => name),
      index === 0 ? ['x'] : [],
    );
  }
});
