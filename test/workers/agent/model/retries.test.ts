import t, { type Test } from 'tap';
import { createAnthropicModel } from '../../../../workers/agent/model/anthropic.js';
import { PassingFailure } from '../../../../workers/agent/model/model-errors.js';
import { Retries } from '../../../../workers/agent/model/retries.js';
import { startModelServer, text, type Reply } from '../../../helpers/model-server.js';
import { EVENT_STREAM, MESSAGE_START, sse, startRawApi } from './raw-api.js';
import { ask, configFor, listen, streamed } from './streams.js';

const error = (type: string, fields: object = {}): string =>
  sse('error', { error: { type, message: `it is ${type}`, ...fields } });
const TEXT_BEGUN = sse('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
const CALL =
  sse('content_block_start', { index: 0, content_block: { type: 'tool_use', id: 'a', name: 'read_file', input: {} } }) +
  sse('content_block_stop', { index: 0 });
const GOOD = MESSAGE_START + sse('content_block_start', { index: 0, content_block: { type: 'text', text: 'fine' } });

/** An API that sends these bodies, the last one for good. */
async function api(t: Test, bodies: readonly string[], headers: Record<string, string> = {}) {
  let asked = 0;
  const { url } = await startRawApi(t, (_request, response) => {
    const body = bodies[Math.min(asked++, bodies.length - 1)]!;
    response.writeHead(200, { ...EVENT_STREAM, ...(body.startsWith(GOOD) ? {} : headers) }).end(body);
  });
  return { model: createAnthropicModel(configFor(url)), asked: () => asked };
}

const FINE = GOOD + sse('content_block_stop', { index: 0 }) + sse('message_stop');

t.test('an error in a stream that has shown nothing is asked again, as one before it is', async (t) => {
  const kinds = {
    overloaded: error('overloaded_error'),
    'behind the beginning of the answer': MESSAGE_START + sse('ping') + TEXT_BEGUN + error('api_error'),
    'behind a call, which nobody has seen': MESSAGE_START + CALL + error('rate_limit_error'),
    'without its name': error('timeout_error').replace(/^event: .*\n/, ''),
    'without its envelope': `event: error\ndata: {"type":"overloaded_error","message":"x"}\n\n`,
    'without a kind': `data: {"error":{"message":"x","code":503}}\n\n`,
    'as the one thing that is answered': '{"error":{"type":"overloaded_error","message":"x"}}',
    'of a kind of its own': error('server_is_tired'),
    'a connection that ends before anything came': MESSAGE_START,
    'nothing at all': '',
  };
  for (const [what, body] of Object.entries(kinds)) {
    const { model, asked } = await api(t, [body, FINE]);
    t.equal(streamed((await listen(model, ask())).events, 0), 'fine', what);
    t.equal(asked(), 2, what);
  }
});

t.test('an error behind the first word ends the answer', async (t) => {
  const { model, asked } = await api(t, [GOOD + error('overloaded_error'), FINE]);
  await t.rejects(listen(model, ask()), { code: 'ERR_MODEL', message: /overloaded/ });
  t.equal(asked(), 1);
});

t.test('an error that will not pass is not asked again', async (t) => {
  for (const [type, message] of [
    ['authentication_error', /key/],
    ['permission_error', /may not/],
    ['billing_error', /pay/],
  ] as const) {
    const { model, asked } = await api(t, [error(type), FINE]);
    await t.rejects(listen(model, ask()), { code: 'ERR_MODEL', message });
    t.equal(asked(), 1, type);
  }
});

t.test('failures before an answer and in its stream share one number of retries', async (t) => {
  const server = await startModelServer();
  t.teardown(() => server.close());
  const inStream: Reply = {
    blocks: (async function* () {
      yield { error: { type: 'overloaded_error', message: 'Overloaded' } };
    })(),
  };
  server.enqueue({ status: 529 }, inStream, { status: 500 }, text('not reached'));
  const model = createAnthropicModel(configFor(server.url));
  await t.rejects(listen(model, ask()), { code: 'ERR_MODEL', message: /status 500/ });
  t.equal(server.count, 3);
});

t.test('an error in a stream is waited for as its answer says, and a long wait is told at once', async (t) => {
  const soon = await api(t, [error('overloaded_error'), FINE], { 'retry-after-ms': '5' });
  t.equal(streamed((await listen(soon.model, ask())).events, 0), 'fine');
  const late = await api(t, [error('rate_limit_error'), FINE], { 'retry-after': '3600' });
  await t.rejects(listen(late.model, ask()), { code: 'ERR_MODEL', retryAfterMs: 3_600_000 });
  t.equal(late.asked(), 1);
});

t.test('an API that says itself whether to ask again is believed', async (t) => {
  const never = await api(t, [error('overloaded_error'), FINE], { 'x-should-retry': 'false' });
  await t.rejects(listen(never.model, ask()), { code: 'ERR_MODEL', message: /overloaded/ });
  t.equal(never.asked(), 1);
});

t.test('nothing is asked again when its wait would outlast the time that an answer may take to begin', async (t) => {
  const { signal } = new AbortController();
  const retries = new Retries({ max: 5, timeoutMs: 1_000, signal });
  t.equal(await retries.wait(new PassingFailure('x', { retryAfterMs: 5_000 })), false);
  t.equal(await retries.wait(new PassingFailure('x', { retryAfterMs: 1 })), true);
  t.equal(await retries.wait(new Error('x')), false, 'what does not pass is not waited for');
});
