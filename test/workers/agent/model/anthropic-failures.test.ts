import { getEventListeners } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { isFairleadError, type FairleadError } from '../../../../src/shared/errors.js';
import { createAnthropicModel } from '../../../../workers/agent/model/anthropic.js';
import { startModelServer, text, type Step } from '../../../helpers/model-server.js';
import { EVENT_STREAM, MESSAGE_START, sse, startRawApi } from './raw-api.js';
import { ask, configFor, listen } from './streams.js';

async function start(t: Test, options: { idleMs?: number } = {}, model: Record<string, unknown> = {}) {
  const server = await startModelServer();
  t.teardown(() => server.close());
  return { server, model: createAnthropicModel(configFor(server.url, model), { maxRetries: 0, ...options }) };
}

/** What the promise rejects with: it must be an error of the table. */
async function failure(promise: Promise<unknown>): Promise<FairleadError> {
  try {
    await promise;
  } catch (error) {
    if (isFairleadError(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

t.test('each refusal of the API is ERR_MODEL and says in plain words what it is', async (t) => {
  const { server, model } = await start(t);
  const kinds: [number, RegExp][] = [
    [400, /prompt is too long/],
    [401, /key/],
    [402, /pay/],
    [403, /may not/],
    [404, /claude-sonnet-5-5/],
    [413, /too large/],
    [429, /rate limit/],
    [500, /500/],
    [504, /in time/],
    [529, /overloaded/],
  ];
  const messages = new Set<string>();
  for (const [status, words] of kinds) {
    server.script(() => ({ status, error: { message: 'prompt is too long: \n 9 > 8' } }));
    const error = await failure(listen(model, ask()));
    t.equal(error.code, 'ERR_MODEL', String(status));
    t.match(error.message, words);
    t.notMatch(error.message, /test-key|127\.0\.0\.1|\n/);
    messages.add(error.message);
  }
  t.equal(messages.size, kinds.length, 'no two alike');
});

t.test('a long message of the API is shortened', async (t) => {
  const { server, model } = await start(t);
  server.script(() => ({ status: 400, error: { message: 'x'.repeat(10_000) } }));
  t.ok((await failure(listen(model, ask()))).message.length < 500);
});

t.test('a redirect is an error: the key is shown to nobody else', async (t) => {
  const elsewhere = await startRawApi(t, (_request, response) => response.end());
  const api = await startRawApi(t, (_request, response) => {
    response.writeHead(307, { location: `${elsewhere.url}/v1/messages` }).end();
  });
  const model = createAnthropicModel(configFor(api.url), { maxRetries: 0 });
  const error = await failure(listen(model, ask()));
  t.equal(error.code, 'ERR_MODEL');
  t.match(error.message, /status 307/);
  t.equal(elsewhere.connections(), 0);
});

t.test('an answer that is neither an error nor one of success is ERR_MODEL with its status', async (t) => {
  const api = await startRawApi(t, (_request, response) => response.writeHead(304).end());
  const model = createAnthropicModel(configFor(api.url), { maxRetries: 0 });
  t.match((await failure(listen(model, ask()))).message, /status 304/);
});

t.test('an error that never ends is read in part', async (t) => {
  const api = await startRawApi(t, (_request, response) => {
    response.writeHead(400, { 'content-type': 'text/plain' });
    response.write('the whole story: '.repeat(10_000));
  });
  const model = createAnthropicModel(configFor(api.url), { maxRetries: 0 });
  t.match((await failure(listen(model, ask()))).message, /status 400/);
});

t.test('a rate limit says when to come back, and a long wait is told at once instead of waited for', async (t) => {
  const { server } = await start(t);
  const model = createAnthropicModel(configFor(server.url)); // with its retries
  server.enqueue({ status: 429, retryAfter: 3600 }, text('not reached'));
  const error = await failure(listen(model, ask()));
  t.equal(error.code, 'ERR_MODEL');
  t.equal(error.retryAfterMs, 3_600_000);
  t.equal(server.count, 1);
});

t.test('a page in place of an answer is ERR_MODEL, whatever its status', async (t) => {
  const { server, model } = await start(t);
  for (const status of [200, 403, 502]) {
    server.enqueue({ html: '<html>Sign in</html>', status });
    const error = await failure(listen(model, ask()));
    t.equal(error.code, 'ERR_MODEL');
    t.notMatch(error.message, /<html>/);
  }
});

t.test('an API that is not there is ERR_MODEL', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  await new Promise((resolve) => taken.close(resolve));
  const refused = createAnthropicModel(configFor(`http://127.0.0.1:${port}`), { maxRetries: 0 });
  t.match(await failure(listen(refused, ask())), { code: 'ERR_MODEL', message: /ECONNREFUSED/ });
  const unknown = createAnthropicModel(configFor('http://no-such-host.invalid'), { maxRetries: 0 });
  t.match(await failure(listen(unknown, ask())), { code: 'ERR_MODEL', message: /cannot be reached/ });
});

t.test('an API that does not begin to answer in time is ERR_MODEL', async (t) => {
  const { server, model } = await start(t, {}, { timeoutMs: 100 });
  server.enqueue({ ...text('never'), gate: new Promise(() => undefined) });
  t.match(await failure(listen(model, ask())), { code: 'ERR_MODEL', message: /in time/ });
  t.equal(await (await server.waitForRequest(0)).ended, 'aborted');
});

t.test('an answer that falls silent in the middle is ERR_MODEL, and its connection is closed', async (t) => {
  const { server, model } = await start(t, { idleMs: 100 });
  server.enqueue({ blocks: [{ text: 'so far' }, { text: 'never', gate: new Promise(() => undefined) }] });
  t.match(await failure(listen(model, ask())), { code: 'ERR_MODEL', message: /silent/ });
  t.equal(await (await server.waitForRequest(0)).ended, 'aborted');
});

t.test('an API that sends nothing but pings is given up in the end', async (t) => {
  const api = await startRawApi(t, (_request, response) => {
    response.writeHead(200, EVENT_STREAM);
    const beat = setInterval(() => response.write(sse('ping')), 20);
    response.once('close', () => clearInterval(beat));
  });
  const model = createAnthropicModel(configFor(api.url, { timeoutMs: 200 }), { maxRetries: 0 });
  t.equal((await failure(listen(model, ask()))).code, 'ERR_MODEL');
});

t.test('a stream cut in the middle is ERR_MODEL after what came before it', async (t) => {
  const { server, model } = await start(t);
  server.enqueue({ ...text('a text of some length, longer than two deltas'), cutAfter: 2 });
  const heard: string[] = [];
  const error = await failure(
    (async () => {
      for await (const event of model.stream(ask(), new AbortController().signal)) heard.push(event.type);
    })(),
  );
  t.match(error, { code: 'ERR_MODEL', message: /broke off/ });
  t.same(heard, ['text', 'text']);
});

t.test('a stream that ends in order but without its last event is ERR_MODEL', async (t) => {
  const api = await startRawApi(t, (_request, response) => response.writeHead(200, EVENT_STREAM).end(MESSAGE_START));
  const model = createAnthropicModel(configFor(api.url), { maxRetries: 0 });
  t.match(await failure(listen(model, ask())), { code: 'ERR_MODEL', message: /broke off/ });
});

t.test('an event that is not JSON is ERR_MODEL', async (t) => {
  const api = await startRawApi(t, (_request, response) => {
    response.writeHead(200, EVENT_STREAM).end(`${MESSAGE_START}event: content_block_start\ndata: {"type":\n\n`);
  });
  const model = createAnthropicModel(configFor(api.url), { maxRetries: 0 });
  t.equal((await failure(listen(model, ask()))).code, 'ERR_MODEL');
});

t.test('events and blocks of a later API are passed over', async (t) => {
  const api = await startRawApi(t, (_request, response) => {
    response.writeHead(200, EVENT_STREAM);
    response.write(MESSAGE_START + sse('something_new', { x: 1 }));
    response.write(sse('content_block_start', { index: 0, content_block: { type: 'hologram', data: 'x' } }));
    response.write(sse('content_block_delta', { index: 0, delta: { type: 'hologram_delta', data: 'y' } }));
    response.write(sse('content_block_stop', { index: 0 }));
    response.write(sse('content_block_start', { index: 1, content_block: { type: 'text', text: '' } }));
    response.write(sse('content_block_delta', { index: 1, delta: { type: 'text_delta', text: 'hello' } }));
    response.end(sse('message_stop'));
  });
  const { events, answer } = await listen(createAnthropicModel(configFor(api.url)), ask());
  t.same(events[0], { type: 'text', block: 0, text: 'hello' });
  t.same(answer.content, [{ type: 'text', text: 'hello' }]);
});

async function* breaking(): AsyncGenerator<Step> {
  yield { text: 'so far' };
  yield { error: { type: 'overloaded_error', message: 'Overloaded' } };
}

t.test('an error in the middle of a stream is told like one before it', async (t) => {
  const { server, model } = await start(t);
  server.enqueue({ blocks: breaking() });
  t.match(await failure(listen(model, ask())), { code: 'ERR_MODEL', message: /overloaded/ });
});

t.test(
  'a connection that stays open after the last event is given back or closed, and the answer does not wait',
  async (t) => {
    let closed: (() => void) | undefined;
    const gone = new Promise<void>((resolve) => (closed = resolve));
    const api = await startRawApi(t, (_request, response) => {
      response.writeHead(200, EVENT_STREAM).write(MESSAGE_START + sse('message_stop'));
      response.once('close', () => closed?.());
    });
    const { answer } = await listen(createAnthropicModel(configFor(api.url)), ask());
    t.same(answer.content, []);
    await gone;
  },
);

t.test('connections of finished answers are used again', async (t) => {
  const api = await startRawApi(t, (_request, response) => {
    response.writeHead(200, EVENT_STREAM).end(MESSAGE_START + sse('message_stop'));
  });
  const model = createAnthropicModel(configFor(api.url));
  const { signal } = new AbortController();
  for (let turn = 0; turn < 5; turn++) await listen(model, ask(), signal);
  // Two at most: the answer is handed on before its connection has quite ended.
  t.ok(api.connections() <= 2, `${api.connections()} connections`);
  t.equal(getEventListeners(signal, 'abort').length, 0, 'and nothing is left on the signal');
});

t.test(
  'an abort before, while it waits for the answer, and in its middle is ERR_CANCELLED and closes the connection',
  async (t) => {
    const { server, model } = await start(t);
    t.equal((await failure(listen(model, ask(), AbortSignal.abort()))).code, 'ERR_CANCELLED');
    t.equal(server.count, 0);

    const never = new Promise(() => undefined);
    server.enqueue({ ...text('never'), gate: never }, { blocks: [{ text: 'so far' }, { text: 'never', gate: never }] });
    const waiting = new AbortController();
    const first = failure(listen(model, ask(), waiting.signal));
    const firstRequest = await server.waitForRequest(0);
    waiting.abort('cancelled');
    t.equal((await first).code, 'ERR_CANCELLED');
    t.equal(await firstRequest.ended, 'aborted');

    const streaming = new AbortController();
    const events = model.stream(ask(), streaming.signal)[Symbol.asyncIterator]();
    t.match(await events.next(), { value: { text: 'so far' } });
    const secondRequest = await server.waitForRequest(1);
    const pending = events.next();
    streaming.abort('interrupted');
    t.equal((await failure(pending)).code, 'ERR_CANCELLED');
    t.equal(await secondRequest.ended, 'aborted');
    for (const { signal } of [waiting, streaming]) t.equal(getEventListeners(signal, 'abort').length, 0);
  },
);

t.test('an abort ends the wait between retries', async (t) => {
  const { server } = await start(t);
  const model = createAnthropicModel(configFor(server.url));
  server.enqueue({ status: 429, retryAfter: 9 }, text('not reached'));
  const abort = new AbortController();
  const failed = failure(listen(model, ask(), abort.signal));
  await (
    await server.waitForRequest(0)
  ).ended;
  abort.abort();
  t.equal((await failed).code, 'ERR_CANCELLED');
  t.equal(server.count, 1);
});

t.test('a reader that stops in the middle closes the connection', async (t) => {
  const { server, model } = await start(t);
  server.enqueue({ blocks: [{ text: 'so far' }, { text: 'never', gate: new Promise(() => undefined) }] });
  const { signal } = new AbortController();
  for await (const event of model.stream(ask(), signal)) {
    t.equal(event.type, 'text');
    break;
  }
  t.equal(await (await server.waitForRequest(0)).ended, 'aborted');
  t.equal(getEventListeners(signal, 'abort').length, 0);
});
