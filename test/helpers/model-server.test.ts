import Anthropic, { APIError } from '@anthropic-ai/sdk';
import t, { type Test } from 'tap';
import { deferred } from './processes.js';
import { startModelServer, text, tool, type ModelServer, type ModelServerOptions, type Step } from './model-server.js';

const hello: Anthropic.MessageCreateParamsNonStreaming = {
  model: 'claude-sonnet-5-5',
  max_tokens: 4096,
  messages: [{ role: 'user', content: 'hi' }],
};
const listFiles: Anthropic.Tool = {
  name: 'workspace__list_files',
  input_schema: { type: 'object', properties: { path: { type: 'string' } } },
};

async function setUp(t: Test, options?: ModelServerOptions): Promise<{ server: ModelServer; client: Anthropic }> {
  const server = await startModelServer(options);
  t.teardown(() => server.close());
  return { server, client: new Anthropic({ baseURL: server.url, apiKey: 'key', maxRetries: 0 }) };
}

/** How a request fails: its status and the API's error type. */
async function failure(
  work: Promise<unknown>,
): Promise<{ status: unknown; type: unknown; headers: Headers | undefined }> {
  const error: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(error instanceof APIError)) throw new Error(`not an API error: ${String(error)}`);
  return { status: error.status, type: error.type, headers: error.headers };
}

async function* breaking(): AsyncGenerator<Step> {
  yield { text: 'so far' };
  yield { error: { type: 'overloaded_error', message: 'Overloaded' } };
}

t.test('thinking, text and two calls stream as the SDK expects them', async (t) => {
  const { server, client } = await setUp(t);
  server.enqueue({
    blocks: [
      { thinking: 'Let me see. 🙂🙃 done', signature: 'signed' },
      { text: 'I will look.' },
      { tool: 'list_files', input: { path: '/workspace', deep: { n: [1, 2] } }, id: 'toolu_1' },
      { tool: 'list_files', input: {} },
    ],
    chunk: 3,
    usage: { input_tokens: 12, output_tokens: 34, cache_read_input_tokens: 56, cache_creation_input_tokens: 78 },
  });
  const stream = client.messages.stream(hello);
  const deltas: string[] = [];
  stream.on('text', (delta) => deltas.push(delta));
  const message = await stream.finalMessage();
  t.same(deltas, ['I w', 'ill', ' lo', 'ok.']);
  t.match(message.content, [
    { type: 'thinking', thinking: 'Let me see. 🙂🙃 done', signature: 'signed' },
    { type: 'text', text: 'I will look.' },
    { type: 'tool_use', id: 'toolu_1', name: 'list_files', input: { path: '/workspace', deep: { n: [1, 2] } } },
    { type: 'tool_use', name: 'list_files', input: {} },
  ]);
  t.equal(message.stop_reason, 'tool_use');
  t.match(message.usage, {
    input_tokens: 12,
    output_tokens: 34,
    cache_read_input_tokens: 56,
    cache_creation_input_tokens: 78,
  });
});

t.test('without `stream` the same reply is one JSON body', async (t) => {
  const { server, client } = await setUp(t);
  server.enqueue(text('Hello'), { blocks: [] });
  const message = await client.messages.create(hello);
  t.match(message.content, [{ type: 'text', text: 'Hello' }]);
  t.equal(message.stop_reason, 'end_turn');
  t.same((await client.messages.create(hello)).content, []);
});

t.test('with no script it lists files when asked to, and tells what the tool said', async (t) => {
  const { server, client } = await setUp(t);
  const messages: Anthropic.MessageParam[] = [{ role: 'user', content: 'List all files in /workspace' }];
  const call = await client.messages.stream({ ...hello, messages, tools: [listFiles] }).finalMessage();
  t.match(call.content, [{ type: 'tool_use', name: 'workspace__list_files', input: { path: '/workspace' } }]);
  const id = call.content[0]?.type === 'tool_use' ? call.content[0].id : '';
  messages.push({ role: 'assistant', content: call.content });
  messages.push({ role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: 'a.txt' }] });
  const answer = await client.messages.stream({ ...hello, messages, tools: [listFiles] }).finalText();
  t.match(answer, /a\.txt/);
  t.same(server.violations, []);
  t.equal(server.requests.length, 2);
});

t.test('a request that breaks a rule is a 400 and a violation', async (t) => {
  const { server, client } = await setUp(t);
  const failed = await failure(client.messages.create({ ...hello, messages: [{ role: 'user', content: '' }] }));
  t.match(failed, { status: 400, type: 'invalid_request_error' });
  t.equal(server.violations.length > 0, true);
});

t.test('thinking that comes back changed, or not at all, is a 400', async (t) => {
  const { server, client } = await setUp(t);
  server.enqueue({ blocks: [{ thinking: 'Hm.' }, { tool: 'list_files', input: {}, id: 'toolu_1' }] });
  const first = await client.messages.create(hello);
  const goOn = (content: Anthropic.ContentBlock[]): Promise<unknown> =>
    client.messages.create({
      ...hello,
      messages: [
        ...hello.messages,
        { role: 'assistant', content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1' }] },
      ],
    });
  await goOn(first.content);
  t.same(server.violations, []);
  t.match(await failure(goOn(first.content.slice(1))), { status: 400 });
  const changed = first.content.map((block) => (block.type === 'thinking' ? { ...block, thinking: 'Hm!' } : block));
  t.match(await failure(goOn(changed)), { status: 400 });
});

t.test('errors have the status, the type and the retry-after of the API', async (t) => {
  const { server, client } = await setUp(t);
  const types: Record<number, string> = {
    400: 'invalid_request_error',
    401: 'authentication_error',
    429: 'rate_limit_error',
    500: 'api_error',
    529: 'overloaded_error',
  };
  for (const [status, type] of Object.entries(types)) {
    server.enqueue({ status: Number(status), retryAfter: 7 });
    const failed = await failure(client.messages.create(hello));
    t.match(failed, { status: Number(status), type });
    t.equal(failed.headers?.get('retry-after'), '7');
  }
  server.enqueue({ html: '<h1>Bad gateway</h1>' });
  t.match(await failure(client.messages.create(hello)), { status: 502 });
});

t.test('another key than the one it knows is a 401', async (t) => {
  const { client } = await setUp(t, { apiKey: 'other' });
  t.match(await failure(client.messages.create(hello)), { status: 401, type: 'authentication_error' });
});

t.test('the SDK retries a 529 and gets the next reply', async (t) => {
  const { server } = await setUp(t);
  server.enqueue({ status: 529, retryAfter: 0 }, text('at last'));
  const client = new Anthropic({ baseURL: server.url, apiKey: 'key', maxRetries: 1 });
  t.equal(await client.messages.stream(hello).finalText(), 'at last');
  t.equal(server.queued, 0);
});

t.test('a stream is cut after so many deltas', async (t) => {
  const { server, client } = await setUp(t);
  server.enqueue({ blocks: [{ text: 'one two three' }], chunk: 4, cutAfter: 2 });
  const stream = client.messages.stream(hello);
  let seen = '';
  stream.on('text', (delta) => (seen += delta));
  await t.rejects(stream.finalMessage());
  t.equal(seen, 'one two ');
  t.equal(await server.requests[0]?.ended, 'cut');
});

t.test('an error event inside the stream reaches the SDK with its type', async (t) => {
  const { server, client } = await setUp(t);
  server.enqueue({ blocks: breaking() });
  t.match(await failure(client.messages.stream(hello).finalMessage()), { type: 'overloaded_error' });
});

t.test('a test holds a text block open and lets it go on an event', async (t) => {
  const { server, client } = await setUp(t);
  const { promise: released, resolve: release } = deferred<void>();
  const slowly = async function* (): AsyncGenerator<string> {
    yield 'before ';
    await released;
    yield 'after';
  };
  server.enqueue({ blocks: [{ text: slowly() }] });
  const stream = client.messages.stream(hello);
  let seen = '';
  stream.on('text', (delta) => {
    seen += delta;
    if (seen === 'before ') release(); // it came while the block was held open
  });
  t.equal(await stream.finalText(), 'before after');
});

t.test('a client that goes away in the middle ends the reply as aborted', async (t) => {
  const { server, client } = await setUp(t);
  server.enqueue({ blocks: [{ text: 'one' }, { gate: new Promise(() => undefined), text: 'never' }] });
  const stream = client.messages.stream(hello);
  stream.once('text', () => stream.abort());
  await t.rejects(stream.finalMessage());
  const request = await server.waitForRequest(0);
  t.equal(await request.ended, 'aborted');
  t.equal(server.active, 0);
});

t.test('a script that throws is a 500 and recorded', async (t) => {
  const { server, client } = await setUp(t, {
    script: () => {
      throw new Error('oh');
    },
  });
  t.match(await failure(client.messages.create(hello)), { status: 500 });
  t.equal(server.violations.length, 1);
});

t.test(
  'the first token is delayed, the queue goes before the script, and two hundred streams at once all end',
  async (t) => {
    const { server, client } = await setUp(t, { script: () => ({ ...text('scripted'), delayMs: 30 }) });
    server.enqueue(tool('list_files'));
    t.equal((await client.messages.create(hello)).stop_reason, 'tool_use');
    const started = performance.now();
    const texts = await Promise.all(Array.from({ length: 200 }, () => client.messages.stream(hello).finalText()));
    t.ok(performance.now() - started >= 29);
    t.ok(texts.every((text) => text === 'scripted'));
  },
);

t.test('it lists its models', async (t) => {
  const { client } = await setUp(t, { models: ['claude-sonnet-5-5'] });
  const { data } = await client.models.list();
  t.same(
    data.map((model) => model.id),
    ['claude-sonnet-5-5'],
  );
  t.equal((await client.models.retrieve('claude-sonnet-5-5')).id, 'claude-sonnet-5-5');
  t.match(await failure(client.models.retrieve('nobody')), { status: 404, type: 'not_found_error' });
});
