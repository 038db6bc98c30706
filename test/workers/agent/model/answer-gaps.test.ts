import t, { type Test } from 'tap';
import { createAnthropicModel } from '../../../../workers/agent/model/anthropic.js';
import { EVENT_STREAM, MESSAGE_START, sse, startRawApi } from './raw-api.js';
import { ask, configFor, listen, streamed, type Heard } from './streams.js';

const HELLO =
  MESSAGE_START +
  sse('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
  sse('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'hello' } }) +
  sse('content_block_stop', { index: 0 });
const WHOLE = HELLO + sse('message_delta', { delta: { stop_reason: 'end_turn' } }) + sse('message_stop');

const said = (...texts: string[]): string =>
  MESSAGE_START +
  sse('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
  texts.map((text) => sse('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })).join('') +
  sse('content_block_stop', { index: 0 }) +
  sse('message_stop');

async function heard(t: Test, body: string): Promise<Heard> {
  const api = await startRawApi(t, (_request, response) => void response.writeHead(200, EVENT_STREAM).end(body));
  return listen(createAnthropicModel(configFor(api.url), { maxRetries: 0 }), ask());
}

const isHello = (t: Test, { events, answer }: Heard, message = 'it is heard'): void => {
  t.equal(streamed(events, 0), 'hello', message);
  t.match(answer, { content: [{ type: 'text', text: 'hello' }], stopReason: 'end_turn' }, message);
};

t.test('data that is no JSON costs nothing where it is no part of the answer', async (t) => {
  for (const alive of [
    'event: ping\ndata: pong',
    'event: keepalive\ndata: {alive',
    'data: keep alive',
    'data: a\ndata: b',
  ]) {
    isHello(t, await heard(t, `${MESSAGE_START + alive}\n\n${WHOLE}`), alive);
  }
  const error = heard(t, `${MESSAGE_START}event: error\ndata: overloaded\ndata: now\n\n`);
  await t.rejects(error, { code: 'ERR_MODEL', message: /failed/ });
});

t.test('a part of the answer that is no JSON has the model asked again while nothing was shown', async (t) => {
  for (const gap of ['data: {oops', 'event: content_block_delta\ndata: oops']) {
    let count = 0;
    const api = await startRawApi(t, (_request, response) => {
      response.writeHead(200, EVENT_STREAM).end(count++ === 0 ? `${MESSAGE_START + gap}\n\n${WHOLE}` : WHOLE);
    });
    isHello(t, await listen(createAnthropicModel(configFor(api.url), { maxRetries: 1 }), ask()), gap);
    t.equal(count, 2, gap);
    await t.rejects(heard(t, `${HELLO + gap}\n\n`), { code: 'ERR_MODEL', message: /broke off/ }, gap);
  }
});

t.test(
  'a pair of surrogates that falls between two pieces is streamed whole, and a half alone as U+FFFD',
  async (t) => {
    const whole = await heard(t, said('a\ud83d', '\udc4bb'));
    t.same(
      whole.events.flatMap((event) => (event.type === 'text' ? event.text : [])),
      ['a', '👋b'],
    );
    t.match(whole.answer.content, [{ text: 'a👋b' }]);
    t.equal(streamed((await heard(t, said('a\ud83d'))).events, 0), 'a\ufffd');
  },
);

t.test('events without the empty line between them are read', async (t) => {
  isHello(t, await heard(t, WHOLE.replaceAll('\n\n', '\n')));
  isHello(t, await heard(t, WHOLE.replaceAll(/^event: .*\n/gm, '').replaceAll('\n\n', '\n')), 'of data alone');
});
