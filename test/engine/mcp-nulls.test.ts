/** A client of /mcp whose serialiser writes absent fields as null, and one whose answer breaks the protocol. */
import t from 'tap';
import { startEngine } from '../helpers/engine.js';

interface Message {
  id?: number | string;
  method?: string;
  params?: { message?: string };
  result?: { content: { text: string }[] };
}

t.test('a client that writes nulls is served, and what does not fit its question is told by the field', async (t) => {
  const engine = await startEngine({ env: { DOCKER_HOST: '' }, config: { sandbox: { driver: 'process' } } });
  t.teardown(() => engine.stop());
  let session: Record<string, string> = {};
  const post = (body: object): Promise<Response> =>
    fetch(`${engine.url}/mcp`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...session },
      body: JSON.stringify({ jsonrpc: '2.0', ...body }),
    });
  const none = await post({ id: 1, method: 'initialize', params: null });
  t.match(await none.json(), { error: { code: -32_602, message: /^Invalid initialize request: params: / } });

  const capabilities = { elicitation: {}, sampling: null };
  const params = { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'c', version: null } };
  const first = await post({ id: 1, method: 'initialize', params });
  t.equal(first.status, 200);
  await first.text();
  session = { 'mcp-session-id': first.headers.get('mcp-session-id')!, 'mcp-protocol-version': '2025-11-25' };
  t.equal((await post({ method: 'notifications/initialized', params: null })).status, 202);

  const answers = [
    { result: { action: 'accept', content: { n: { deep: true } } }, error: null },
    { result: { action: 'decline', content: { n: null } }, error: null },
  ];
  const asked: string[] = [];
  let text = '';
  const call = { name: 'run_command', arguments: { command: 'true' }, _meta: null };
  const stream = (await post({ id: 2, method: 'tools/call', params: call })).body!;
  let rest = '';
  for await (const part of stream.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)) {
    const lines = (rest + part).split('\n');
    rest = lines.pop()!;
    for (const line of lines.filter((each) => each.startsWith('data: {'))) {
      const { id, method, params: question, result } = JSON.parse(line.slice(6)) as Message;
      if (result) text = result.content[0]!.text;
      if (method !== 'elicitation/create') continue;
      asked.push(question?.message ?? '');
      t.equal((await post({ id, ...answers.shift() })).status, 202);
    }
  }
  t.equal(text, 'The user denied this call.');
  t.match(asked, { length: 2, 1: /^\[The last answer does not fit the form: content\.n: Invalid input\]\n/ });
});
