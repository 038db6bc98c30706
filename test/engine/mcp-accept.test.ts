/** What a client of /mcp may say it takes: JSON, streams, both, anything, or nothing at all. */
import { request } from 'node:http';
import t from 'tap';
import { startEngine, type Engine } from '../helpers/engine.js';

interface Answer {
  status: number;
  type: string;
  session: string;
  text: string;
}

/** Not by fetch, which always says what it takes. */
function post(engine: Engine, body: object, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      `${engine.url}/mcp`,
      { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
      async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk as Buffer);
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'] ?? '',
          session: String(response.headers['mcp-session-id'] ?? ''),
          text: Buffer.concat(chunks).toString(),
        });
      },
    );
    asked.on('error', reject);
    asked.end(JSON.stringify({ jsonrpc: '2.0', ...body }));
  });
}

const initialize = (capabilities: object = {}): object => ({
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'test', version: '1' } },
});

const config = { sandbox: { driver: 'process' } };
const BOTH = 'application/json, text/event-stream';
const STREAM = /^text\/event-stream/;
const JSON_TYPE = /^application\/json/;

const CLIENTS: [accept: string | undefined, type: RegExp][] = [
  [undefined, STREAM],
  ['*/*', STREAM],
  [BOTH, STREAM],
  ['Application/JSON;q=0.9, */*;q=0.1', STREAM],
  ['text/event-stream', STREAM],
  ['application/json', JSON_TYPE],
  ['application/*', JSON_TYPE],
];

t.test('/mcp serves whoever takes JSON, a stream, both, anything, or does not say', async (t) => {
  const engine = await startEngine({ env: { DOCKER_HOST: '' }, config });
  t.teardown(() => engine.stop());
  for (const [accept, type] of CLIENTS) {
    const headers = accept === undefined ? {} : { accept };
    const named = accept ?? 'absent';
    const first = await post(engine, initialize(), headers);
    t.match(first, { status: 200, type, text: /"protocolVersion"/ }, named);
    const session = { ...headers, 'mcp-session-id': first.session, 'mcp-protocol-version': '2025-11-25' };
    t.match(await post(engine, { method: 'notifications/initialized' }, session), { status: 202 }, named);
    const listed = await post(engine, { id: 2, method: 'tools/list' }, session);
    t.match(listed, { status: 200, type, text: /run_command/ }, named);
    if (type === JSON_TYPE) t.match(JSON.parse(listed.text), { id: 2, result: { tools: [] } }, named);
    const modern = {
      id: 3,
      method: 'tools/list',
      params: {
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      },
    };
    const newer = { ...headers, 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' };
    const answer = await post(engine, modern, newer);
    t.match(answer, { status: 200, text: /run_command/ }, named);
    if (accept === 'text/event-stream') t.match(answer, { type: STREAM });
    if (type === JSON_TYPE) t.match(answer, { type: JSON_TYPE });
  }
  const refused = await post(engine, initialize(), { accept: 'text/html' });
  t.match(refused, { status: 406, text: /must name application\/json, text\/event-stream or both/ });
});

t.test('a call that would ask a client without streams is answered at once, in words', async (t) => {
  const engine = await startEngine({ env: { DOCKER_HOST: '' }, config });
  t.teardown(() => engine.stop());
  const headers = { accept: 'application/json' };
  const { session } = await post(engine, initialize({ elicitation: {} }), headers);
  const named = { ...headers, 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' };
  await post(engine, { method: 'notifications/initialized' }, named);
  const params = { name: 'run_command', arguments: { command: 'true' } };
  const answer = await post(engine, { id: 2, method: 'tools/call', params }, named);
  t.match(answer, { status: 200, type: JSON_TYPE });
  const text = /^Nobody can be asked here .+ elicitation .+ streams/;
  t.match(JSON.parse(answer.text), { id: 2, result: { isError: true, content: [{ text }] } });
});
