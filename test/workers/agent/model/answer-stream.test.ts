import type { ServerResponse } from 'node:http';
import {
  createBrotliCompress,
  createDeflate,
  createGzip,
  gzipSync,
  type BrotliCompress,
  type Deflate,
  type Gzip,
} from 'node:zlib';
import t, { type Test } from 'tap';
import { createAnthropicModel } from '../../../../workers/agent/model/anthropic.js';
import type { ModelAnswer } from '../../../../workers/agent/model/model.js';
import { deferred } from '../../../helpers/processes.js';
import { EVENT_STREAM, MESSAGE_START, sse, startRawApi } from './raw-api.js';
import { ask, configFor, listen, streamed, type Heard } from './streams.js';

type Headers = Record<string, string>;

/** What becomes of a body that an API sends with status 200. */
async function heard(t: Test, body: string | readonly string[], headers: Headers = EVENT_STREAM): Promise<Heard> {
  const api = await startRawApi(t, (_request, response) => {
    response.writeHead(200, headers);
    for (const chunk of [body].flat()) response.write(chunk);
    response.end();
  });
  return listen(createAnthropicModel(configFor(api.url), { maxRetries: 0 }), ask());
}

const block = (index: number, type: string, fields: Record<string, unknown> = {}): string =>
  sse('content_block_start', { index, content_block: { type, ...fields } });
const delta = (index: number, type: string, fields: Record<string, unknown>): string =>
  sse('content_block_delta', { index, delta: { type, ...fields } });
const words = (index: number, text: string): string => delta(index, 'text_delta', { text });
const stop = (index: number): string => sse('content_block_stop', { index });
const reason = (stopReason: unknown, usage?: unknown): string =>
  sse('message_delta', { delta: { stop_reason: stopReason }, usage });
const END = sse('message_stop');
const call = (index: number, json = '{"path":"a"}'): string =>
  block(index, 'tool_use', { id: `call_${index}`, name: 'read_file', input: {} }) +
  delta(index, 'input_json_delta', { partial_json: json }) +
  stop(index);

const start = (usage: unknown): string => sse('message_start', { message: { model: 'm', usage } });
const HELLO = MESSAGE_START + block(0, 'text', { text: '' }) + words(0, 'hel') + words(0, 'lo') + stop(0);
const WHOLE = HELLO + reason('end_turn', { output_tokens: 2 }) + END;
const isHello = (t: Test, { events, answer }: Heard, message = 'it is heard'): void => {
  t.equal(streamed(events, 0), 'hello', message);
  t.match(answer, { content: [{ type: 'text', text: 'hello' }], stopReason: 'end_turn' }, message);
};

t.test('a whole call runs whatever the reason to stop says, and without one', async (t) => {
  const reasons = ['tool_use', 'end_turn', 'stop_sequence', 'stop', 'tool_calls', 'TOOL_USE', '', null, undefined, 7];
  for (const each of [...reasons, 'constructor']) {
    const { answer } = await heard(t, MESSAGE_START + call(0) + reason(each) + END);
    const what = String(each);
    t.equal(answer.stopReason, 'tool_use', what);
    t.match(answer.content, [{ type: 'tool_use', name: 'read_file', input: { path: 'a' } }], what);
    t.equal(answer.invalidInput, undefined, what);
  }
  const { answer } = await heard(t, MESSAGE_START + call(0) + END);
  t.equal(answer.stopReason, 'tool_use', 'no message_delta at all');
});

t.test('an answer that was cut off or refused says so, in the words of other models too', async (t) => {
  const kinds: [string, ModelAnswer['stopReason']][] = [
    ['max_tokens', 'max_tokens'],
    ['MAX_TOKENS', 'max_tokens'],
    ['length', 'max_tokens'],
    ['content_filter', 'refusal'],
    ['SAFETY', 'refusal'],
  ];
  for (const [said, ours] of kinds) {
    const { answer } = await heard(t, MESSAGE_START + call(0, '{"pa') + reason(said) + END);
    t.equal(answer.stopReason, ours, said);
  }
});

t.test('a stream of data alone, without lines that name events, is read', async (t) => {
  const dataOnly = WHOLE.replaceAll(/^event: .*\n/gm, '');
  isHello(t, await heard(t, dataOnly));
  isHello(t, await heard(t, dataOnly.replaceAll('data: ', 'data:')), 'without a space');
  isHello(t, await heard(t, WHOLE.replaceAll(/^event: .*$/gm, 'event: message')), 'with the default name');
  isHello(t, await heard(t, WHOLE.replaceAll(/"type":"(message|content)_\w+",?/g, '')), 'with names alone');
});

t.test('every line end of event streams is read, also where it falls between two chunks', async (t) => {
  for (const end of ['\n', '\r\n', '\r']) {
    const body = WHOLE.replaceAll('\n', end);
    isHello(t, await heard(t, body), JSON.stringify(end));
    // Here a line end that counts twice would part a name from its data.
    const named = body.replaceAll(/"type":"(message|content)_\w+",?/g, '');
    isHello(t, await heard(t, named), `${JSON.stringify(end)} with names alone`);
    isHello(t, await heard(t, body.split(/(?<=[\r\n])/)), `${JSON.stringify(end)} in pieces`);
  }
});

t.test('the last event of a stream that ends its lines with CR is heard while the connection stays open', async (t) => {
  const { promise: gone, resolve } = deferred<void>();
  const api = await startRawApi(t, (_request, response) => {
    response.once('close', resolve);
    response.writeHead(200, EVENT_STREAM).write(WHOLE.replaceAll('\n', '\r'));
  });
  isHello(t, await listen(createAnthropicModel(configFor(api.url)), ask()));
  await gone;
});

t.test(
  'a stream may begin with a byte order mark, comments and empty lines, and end without its last one',
  async (t) => {
    isHello(t, await heard(t, `\uFEFF${WHOLE}`));
    isHello(
      t,
      await heard(t, `: connected\n\n\n${WHOLE.replaceAll('\n\n', '\n: still here\nid: 7\nretry: 10\n\n\n')}`),
    );
    isHello(t, await heard(t, WHOLE.trimEnd()));
  },
);

t.test('the bytes say what an answer is, not its content type', async (t) => {
  const types = ['text/event-stream;charset=utf-8', 'Text/Event-Stream', ' text/event-stream ; charset="utf-8"'];
  for (const type of [...types, 'application/x-ndjson', 'application/octet-stream', 'text/plain', 'application/json']) {
    isHello(t, await heard(t, WHOLE, { 'content-type': type }), type);
  }
  isHello(t, await heard(t, WHOLE, {}), 'none');
});

const MESSAGE = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'other-1',
  content: [{ type: 'text', text: 'hello' }] as unknown,
  stop_reason: 'end_turn',
  usage: { input_tokens: 3, output_tokens: 2 },
};

t.test('an answer that is not streamed is one', async (t) => {
  const json = { 'content-type': 'application/json' };
  for (const body of [JSON.stringify(MESSAGE), JSON.stringify(MESSAGE, null, 2), `\n ${JSON.stringify(MESSAGE)}\n`]) {
    const { events, answer } = await heard(t, body, json);
    isHello(t, { events, answer });
    t.match(answer, { model: 'other-1', usage: { inputTokens: 3, outputTokens: 2 } });
  }
  isHello(t, await heard(t, JSON.stringify({ ...MESSAGE, content: 'hello' }), json), 'a text in place of blocks');
  isHello(t, await heard(t, JSON.stringify(MESSAGE)), 'as event-stream');
  isHello(t, await heard(t, `data: ${JSON.stringify(MESSAGE)}\n\n`), 'as the one event of a stream');
  const tools = [
    { type: 'thinking', thinking: 'hm', signature: 's' },
    { type: 'tool_use', id: 'a', name: 'read_file', input: { path: 'a' } },
  ];
  const { events, answer } = await heard(t, JSON.stringify({ ...MESSAGE, content: tools }), json);
  t.equal(streamed(events, 0), 'hm');
  t.match(answer, { stopReason: 'tool_use', content: [{ signature: 's' }, { input: { path: 'a' } }] });
});

t.test('an answer that is compressed though nobody asked for it is read as it comes', async (t) => {
  const kinds: [encoding: string, encoder: () => Gzip | Deflate | BrotliCompress][] = [
    ['gzip', createGzip],
    ['GZIP', createGzip],
    ['deflate', createDeflate],
    ['br', createBrotliCompress],
  ];
  for (const [encoding, encoder] of kinds) {
    const { promise: isHeard, resolve } = deferred<void>();
    const api = await startRawApi(t, (_request, response) => {
      response.writeHead(200, { ...EVENT_STREAM, 'content-encoding': encoding });
      const encode = encoder();
      encode.pipe(response);
      encode.write(HELLO);
      encode.flush();
      void isHeard.then(() => encode.end(reason('end_turn') + END));
    });
    const model = createAnthropicModel(configFor(api.url), { maxRetries: 0 });
    let heardText = '';
    for await (const event of model.stream(ask(), new AbortController().signal)) {
      if (event.type === 'text') heardText += event.text;
      if (heardText === 'hello') resolve();
    }
    t.equal(heardText, 'hello', encoding);
  }
});

t.test('a compressed answer that is cut, and one that is not what it says, break off', async (t) => {
  const cut = gzipSync(HELLO).subarray(0, -12);
  for (const body of [cut, Buffer.from(HELLO)]) {
    const api = await startRawApi(t, (_request, response) => {
      response.writeHead(200, { ...EVENT_STREAM, 'content-encoding': 'gzip' }).end(body);
    });
    const model = createAnthropicModel(configFor(api.url), { maxRetries: 0 });
    await t.rejects(listen(model, ask()), { code: 'ERR_MODEL', message: /broke off/ });
  }
});

t.test('events as lines of JSON are read', async (t) => {
  const lines = WHOLE.split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice('data: '.length));
  isHello(t, await heard(t, lines.join('\n'), { 'content-type': 'application/x-ndjson' }));
});

t.test('a page, another kind of answer and an empty one are told apart', async (t) => {
  const kinds: [body: string, type: string, message: RegExp][] = [
    ['\n<!doctype html>', 'text/event-stream', /text\/event-stream|not of the Messages API/],
    ['<html>', 'text/html; charset=utf-8', /answered with text\/html/],
    ['Bad Gateway', 'text/plain', /answered with text\/plain/],
    ['{"choices":[{"message":{"content":"hello"}}]}', 'application/json', /answered with application\/json/],
    ['data: {"object":"chat.completion.chunk","choices":[]}\n\ndata: [DONE]\n\n', 'text/event-stream', /not of the/],
    ['', 'text/event-stream', /broke off/],
    ['{"type":"message","content":[{"ty', 'application/json', /broke off/],
  ];
  for (const [body, type, message] of kinds) {
    await t.rejects(heard(t, body, { 'content-type': type }), { code: 'ERR_MODEL', message }, body);
  }
});

t.test('usage that is missing, of another kind, absurd or late keeps the answer', async (t) => {
  const none = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };
  const rest = (usage: unknown): string => block(0, 'text', { text: 'hello' }) + stop(0) + reason('end_turn', usage);
  const kinds: [first: unknown, last: unknown, ours: object][] = [
    [undefined, undefined, none],
    [null, null, none],
    [[], 'much', none],
    [{ input_tokens: null }, { output_tokens: null }, none],
    [{ input_tokens: -5 }, { output_tokens: -1 }, none],
    [{ input_tokens: '12' }, { output_tokens: '7' }, { ...none, inputTokens: 12, outputTokens: 7 }],
    [{ input_tokens: 'many' }, { output_tokens: {} }, none],
    [{ input_tokens: 1e300 }, { output_tokens: 2.4 }, { ...none, outputTokens: 2 }],
    [undefined, { input_tokens: 9, output_tokens: 4 }, { ...none, inputTokens: 9, outputTokens: 4 }],
    [{ input_tokens: 9 }, { input_tokens: 'x', output_tokens: 4 }, { ...none, inputTokens: 9, outputTokens: 4 }],
  ];
  for (const [first, last, ours] of kinds) {
    const { events, answer } = await heard(t, start(first) + rest(last) + END);
    isHello(t, { events, answer });
    t.same(answer.usage, ours, JSON.stringify([first, last]));
  }
  const late = sse('message_stop', { usage: { input_tokens: 8, output_tokens: 3 } });
  t.match((await heard(t, start(undefined) + rest(undefined) + late)).answer.usage, { inputTokens: 8 });
  isHello(t, await heard(t, start({}) + rest({}) + END + reason(null, { output_tokens: 5 })), 'after the last event');
});

t.test('an answer without message_stop is whole once it says why it stopped, or ends behind a block', async (t) => {
  isHello(t, await heard(t, HELLO + reason('end_turn')));
  isHello(t, await heard(t, `${HELLO + reason('end_turn')}data: [DONE]\n\n`));
  isHello(t, await heard(t, HELLO));
  const { answer } = await heard(t, HELLO + call(1));
  t.equal(answer.stopReason, 'tool_use');
  isHello(t, await heard(t, MESSAGE_START + block(0, 'text', { text: 'hello' }) + reason('end_turn') + END), 'no end');
});

t.test('an answer that ends in the middle of a block is not whole', async (t) => {
  const half = MESSAGE_START + block(0, 'tool_use', { id: 'a', name: 'read_file' });
  for (const body of [half, half + delta(0, 'input_json_delta', { partial_json: '{}' }), HELLO + block(1, 'text')]) {
    await t.rejects(heard(t, body), { code: 'ERR_MODEL', message: /broke off/ });
  }
  await t.rejects(heard(t, `${HELLO}data: {"type":"content_block_st`), { code: 'ERR_MODEL', message: /broke off/ });
});

t.test('a connection that is lost behind the reason to stop costs nothing', async (t) => {
  const lost = async (body: string): Promise<Heard> => {
    const api = await startRawApi(t, (_request, response: ServerResponse) => {
      response.writeHead(200, EVENT_STREAM);
      response.write(body, () => response.destroy());
    });
    return listen(createAnthropicModel(configFor(api.url), { maxRetries: 0 }), ask());
  };
  isHello(t, await lost(HELLO + reason('end_turn')));
  isHello(t, await heard(t, `${HELLO + reason('end_turn')}data: {"type":"message_st`), 'cut in the last event');
  await t.rejects(lost(HELLO), { code: 'ERR_MODEL', message: /broke off/ });
});

t.test('each call gets an id of ours, whatever the model calls it', async (t) => {
  const ids = ['functions.list_files:0', 'same', 'same', '', null, undefined, 7, 'x'.repeat(500), 'ä b'];
  const calls = ids.map((id, index) => block(index, 'tool_use', { id, name: 'read_file', input: {} }) + stop(index));
  const { answer } = await heard(t, MESSAGE_START + calls.join('') + reason('tool_use') + END);
  const ours = answer.content.map((each) => (each as { id: string }).id);
  t.equal(ours.length, ids.length, 'none is lost');
  t.equal(new Set(ours).size, ids.length, 'no two are alike');
  for (const id of ours) t.match(id, /^[a-zA-Z0-9_-]{1,64}$/);
  const again = await heard(t, MESSAGE_START + calls.join('') + reason('tool_use') + END);
  for (const { id } of again.answer.content as { id: string }[]) t.notOk(ours.includes(id), 'nor in a later round');
});

t.test('arguments come in pieces, whole at the start, as a text, or not at all', async (t) => {
  const kinds: [start: unknown, deltas: unknown[], input: object, isInvalid?: boolean][] = [
    [{}, ['{"pa', 'th":', '"a"}'], { path: 'a' }],
    [{ path: 'a' }, [], { path: 'a' }],
    [{ path: 'a' }, [''], { path: 'a' }],
    ['{"path":"a"}', [], { path: 'a' }],
    [undefined, ['{"path":"a"}'], { path: 'a' }],
    [null, [], {}],
    ['', ['null'], {}],
    [{}, [null, 7, '{}'], {}],
    [{}, ['[1]'], {}, true],
    [{}, ['{"path":'], {}, true],
  ];
  for (const [input, deltas, ours, isInvalid] of kinds) {
    const body =
      block(0, 'tool_use', { id: 'a', name: 'read_file', input }) +
      deltas.map((json) => delta(0, 'input_json_delta', { partial_json: json })).join('');
    const { answer } = await heard(t, MESSAGE_START + body + stop(0) + reason('tool_use') + END);
    t.match(answer.content, [{ name: 'read_file', input: ours }], JSON.stringify([input, deltas]));
    const [use] = answer.content as { id: string }[];
    t.same(answer.invalidInput, isInvalid ? [use!.id] : undefined);
  }
});

t.test(
  'deltas out of order, without a start, without an index or of another kind of block lose no words',
  async (t) => {
    const one = (...events: string[]): Promise<Heard> => heard(t, [MESSAGE_START, ...events, reason('end_turn'), END]);
    isHello(t, await one(words(0, 'hel'), words(0, 'lo')), 'no start');
    isHello(t, await one(block(0, 'text'), stop(0), words(0, 'hel'), words(0, 'lo')), 'after the stop');
    const text = { type: 'text_delta', text: 'hello' };
    isHello(t, await one(sse('content_block_start', { content_block: { type: 'text' } }), sse('content_block_delta', { delta: text })), 'no index'); // prettier-ignore
    isHello(
      t,
      await one(block(0, 'text'), sse('content_block_delta', { index: '0', delta: text })),
      'an index as text',
    );
    const mixed = await one(block(0, 'thinking', { thinking: '' }), delta(0, 'thinking_delta', { thinking: 'hm' }), words(0, 'hel'), words(0, 'lo'), stop(0)); // prettier-ignore
    t.match(mixed.answer.content, [{ type: 'thinking', thinking: 'hm' }, { type: 'text', text: 'hello' }]); // prettier-ignore
    t.equal(streamed(mixed.events, 1), 'hello');
    const twice = await one(block(0, 'text'), words(0, 'a'), stop(0), block(0, 'text'), words(0, 'b'), stop(0));
    t.match(twice.answer.content, [{ text: 'a' }, { text: 'b' }], 'one index for two blocks');
    const early = await one(
      block(1, 'tool_use', { id: 'a', name: 'read_file' }),
      block(0, 'text'),
      stop(1),
      words(0, 'hello'),
      delta(1, 'input_json_delta', { partial_json: '{"path":"a"}' }),
    );
    t.match(early.answer.content, [{ input: { path: 'a' } }, { text: 'hello' }]);
  },
);

t.test('events and blocks that nobody knows, or that are broken, cost themselves alone', async (t) => {
  const odd = [
    sse('something_new', { delta: { text: 'x' } }),
    'event: odd\ndata: 7\n\n',
    'data: null\n\n',
    'data: "text"\n\n',
    'data: [1]\n\n',
    'data: {}\n\n',
    'event: only_a_name\n\n',
    sse('content_block_start', { index: 9, content_block: null }),
    block(9, 'server_tool_use', { id: 'x', name: 'web_search' }) +
      delta(9, 'input_json_delta', { partial_json: '{"query":"x"}' }) +
      words(9, 'of a block that is passed over') +
      stop(9),
    delta(8, 'input_json_delta', { partial_json: '{"path":"of no call"}' }),
    stop(77),
    sse('content_block_delta', { index: 0, delta: null }),
    delta(0, 'text_delta', { text: null }),
    delta(0, 'citations_delta', { citation: {} }),
    sse('message_delta', { delta: null, usage: null }),
    sse('message_start', { message: null }),
  ];
  const parts = [MESSAGE_START, block(0, 'text'), words(0, 'hel'), words(0, 'lo'), stop(0), reason('end_turn'), END];
  for (const each of odd) isHello(t, await heard(t, parts.flatMap((part) => [part, ...(part === END ? [] : [each])])), each); // prettier-ignore
  isHello(t, await heard(t, odd.join('') + parts.join('')), 'all of them first');
});

t.test('comments are signs of life, and comments alone are given up in the end', async (t) => {
  let lines = 0;
  const api = await startRawApi(t, (_request, response) => {
    response.writeHead(200, EVENT_STREAM);
    const beat = setInterval(() => {
      if (++lines < 60) response.write(': keep-alive\n\n');
      else response.end(WHOLE);
    }, 25);
    response.once('close', () => clearInterval(beat));
  });
  isHello(t, await listen(createAnthropicModel(configFor(api.url), { idleMs: 1_000 }), ask()));
  lines = -1_000_000;
  const impatient = createAnthropicModel(configFor(api.url, { timeoutMs: 200 }), { maxRetries: 0 });
  await t.rejects(listen(impatient, ask()), { code: 'ERR_MODEL', message: /signs of life/ });
});

t.test('an answer without end is given up', async (t) => {
  const piece = words(0, 'x'.repeat(100_000));
  const api = await startRawApi(t, (_request, response) => {
    response.writeHead(200, EVENT_STREAM).write(MESSAGE_START + block(0, 'text'));
    const more = (): void => {
      while (!response.destroyed && response.write(piece));
    };
    response.on('drain', more);
    more();
  });
  const model = createAnthropicModel(configFor(api.url), { maxRetries: 0, maxAnswerBytes: 2 * 1024 * 1024 });
  await t.rejects(listen(model, ask()), { code: 'ERR_MODEL', message: /more than 2 MB/ });
});
