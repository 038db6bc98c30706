import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createAnthropicModel } from '../../../../workers/agent/model/anthropic.js';
import { startModelServer, text, type ModelServer, type Reply, type Step } from '../../../helpers/model-server.js';
import { ask, configFor, listen, streamed } from './streams.js';
import { assistant, result, user } from './transcripts.js';

const servers: ModelServer[] = [];

async function start(t: Test, model: Record<string, unknown> = {}) {
  const server = await startModelServer({ apiKey: 'test-key' });
  t.teardown(() => server.close());
  servers.push(server);
  return { server, model: createAnthropicModel(configFor(server.url, model)) };
}

t.test('text streams in pieces, and the answer holds it whole', async (t) => {
  const { server, model } = await start(t);
  server.enqueue({ ...text('Hello, grüße 👋 to you all.'), chunk: 3, usage: { output_tokens: 7 } });
  const { events, answer } = await listen(model, ask());
  t.ok(events.length > 5);
  t.equal(streamed(events, 0), 'Hello, grüße 👋 to you all.');
  t.same(answer.content, [{ type: 'text', text: 'Hello, grüße 👋 to you all.' }]);
  t.equal(answer.stopReason, 'end_turn');
  t.equal(answer.model, 'claude-sonnet-5-5');
  t.equal(answer.invalidInput, undefined);
});

t.test('the first piece is heard while the rest is still to come', async (t) => {
  const { server, model } = await start(t);
  let open: (() => void) | undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  server.enqueue({ blocks: [{ text: 'first' }, { text: 'second', gate }] });
  const stream = model.stream(ask(), new AbortController().signal)[Symbol.asyncIterator]();
  t.same(await stream.next(), { done: false, value: { type: 'text', block: 0, text: 'first' } });
  open?.();
  t.same(await stream.next(), { done: false, value: { type: 'text', block: 1, text: 'second' } });
  t.match(await stream.next(), { value: { type: 'done' } });
  t.match(await stream.next(), { done: true });
});

t.test('thinking, text and several tools come in order, and go back as the API demands', async (t) => {
  const { server, model } = await start(t, { thinkingTokens: 2048 });
  server.enqueue(
    {
      blocks: [
        { thinking: 'Let me see.' },
        { redacted: 'c2VjcmV0' },
        { text: 'I look.' },
        { tool: 'read_file', input: { path: 'ä "quoted".txt', deep: { list: [1, null, '}'] } }, id: 'toolu_1' },
        { tool: 'read_file', input: {}, id: 'toolu_2' },
      ],
      chunk: 2,
    },
    text('done'),
  );
  const first = await listen(model, ask());
  t.equal(streamed(first.events, 0), 'Let me see.');
  t.equal(streamed(first.events, 2), 'I look.');
  t.equal(first.answer.stopReason, 'tool_use');
  t.match(first.answer.content, [
    { type: 'thinking', thinking: 'Let me see.', signature: /.+/ },
    { type: 'redacted_thinking', data: 'c2VjcmV0' },
    { type: 'text', text: 'I look.' },
    {
      type: 'tool_use',
      id: /^toolu_/,
      name: 'read_file',
      input: { path: 'ä "quoted".txt', deep: { list: [1, null, '}'] } },
    },
    { type: 'tool_use', id: /^toolu_/, name: 'read_file', input: {} },
  ]);
  const ids = first.answer.content.slice(3).map((use) => (use as { id: string }).id);
  const back = [user('hello'), assistant(...first.answer.content), user(...ids.map((id) => result(id)))];
  t.equal((await listen(model, ask({ messages: back }))).answer.stopReason, 'end_turn');
  t.match(server.requests[1]?.body['thinking'], { type: 'adaptive' });
});

t.test('arguments that are no JSON object are named, and the call stays in the answer', async (t) => {
  const { server, model } = await start(t);
  server.enqueue({
    blocks: [
      { tool: 'read_file', inputJson: '{"path": "a', id: 'cut' },
      { tool: 'read_file', inputJson: '["a"]', id: 'list' },
      { tool: 'read_file', inputJson: '', id: 'none' },
      { tool: 'read_file', input: { path: 'b' }, id: 'good' },
    ],
  });
  const { answer } = await listen(model, ask());
  const ids = answer.content.map((use) => (use as { id: string }).id);
  t.same(answer.invalidInput, ids.slice(0, 2));
  t.match(answer.content, [{ input: {} }, { input: {} }, { input: {} }, { input: { path: 'b' } }]);
});

t.test('reasons to stop are told in our words', async (t) => {
  const { server, model } = await start(t);
  const words: [string, string][] = [
    ['end_turn', 'end_turn'],
    ['stop_sequence', 'end_turn'],
    ['pause_turn', 'end_turn'],
    ['max_tokens', 'max_tokens'],
    ['model_context_window_exceeded', 'max_tokens'],
    ['refusal', 'refusal'],
    ['one of a later day', 'end_turn'],
  ];
  for (const [api, ours] of words) {
    server.enqueue({ ...text('x'), stopReason: api });
    t.equal((await listen(model, ask())).answer.stopReason, ours, api);
  }
});

t.test('usage has the figures of the cache', async (t) => {
  const { server, model } = await start(t);
  server.enqueue({
    ...text('x'),
    usage: { input_tokens: 3, output_tokens: 5, cache_read_input_tokens: 1000, cache_creation_input_tokens: 20 },
  });
  const { answer } = await listen(model, ask());
  t.same(answer.usage, { inputTokens: 3, outputTokens: 5, cacheReadTokens: 1000, cacheWriteTokens: 20 });
});

t.test('a model that answers nothing gives an empty answer', async (t) => {
  const { server, model } = await start(t);
  server.enqueue({ blocks: [] });
  t.match((await listen(model, ask())).answer, { content: [], stopReason: 'end_turn' });
});

t.test('an overloaded or limited API is asked again before the first byte', async (t) => {
  const { server, model } = await start(t);
  server.enqueue({ status: 529 }, { status: 500 }, text('third time lucky'));
  t.equal(streamed((await listen(model, ask())).events, 0), 'third time lucky');
  t.equal(server.count, 3);
});

async function* slowly(): AsyncGenerator<Step> {
  for (let beat = 0; beat < 8; beat++) {
    await sleep(100); // the model’s own pace: longer in all than the deadline
    yield { ping: true };
  }
  yield { text: 'at last' };
}

t.test('pings keep a slow answer alive', async (t) => {
  const server = await startModelServer();
  t.teardown(() => server.close());
  const model = createAnthropicModel(configFor(server.url), { idleMs: 500 });
  server.enqueue({ blocks: slowly() });
  t.equal(streamed((await listen(model, ask())).events, 0), 'at last');
});

t.test('200 streams run at once, none waits for another’s connection', async (t) => {
  const { server, model } = await start(t);
  let open: (() => void) | undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  server.script((): Reply => ({ blocks: [{ text: 'started ' }, { text: 'finished', gate }] }));
  const streams = Array.from({ length: 200 }, () => listen(model, ask()));
  await server.waitForRequest(199);
  t.equal(server.active, 200);
  open?.();
  for (const { answer } of await Promise.all(streams)) t.match(answer, { content: [{}, { text: 'finished' }] });
});

t.test('the API would have taken every request of these tests', async (t) => {
  t.same(
    servers.flatMap(({ violations }) => violations),
    [],
  );
});
