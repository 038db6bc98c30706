import * as fc from 'fast-check';
import t from 'tap';
import { parseFrame, toUserBlocks } from '../../../src/front/frames.js';
import { png } from '../../helpers/images.js';

const PNG = { type: 'image', mimeType: 'image/png', data: png(1, 1) };

t.test('frames of the contract are taken as they are', async (t) => {
  const frames = [
    { type: 'message', text: 'hi' },
    { type: 'message', id: 'm1', content: [{ type: 'text', text: 'look' }, PNG] },
    { type: 'tool:approval', callId: 'c', approved: true, args: { a: [1] }, remember: 'session' },
    { type: 'tool:approval', id: 'x', callId: 'c', approved: false, reason: '' },
    { type: 'elicitation:reply', requestId: 'r', action: 'accept', content: { name: 'n' } },
    { type: 'turn:cancel' },
    { type: 'history:reset', id: 'h' },
    { type: 'ping', id: 'p' },
  ];
  for (const frame of frames) t.strictSame(parseFrame(JSON.stringify(frame)), { ok: true, frame });
});

t.test('a bad frame is ERR_BAD_FRAME and names the field', async (t) => {
  const cases: [unknown, RegExp][] = [
    [null, /object/],
    [[], /object/],
    ['text', /object/],
    [{}, /type: must be one of message, /],
    [{ type: 'nope' }, /type: must be one of message, /],
    [{ type: 'message' }, /exactly one of text and content/],
    [{ type: 'message', text: 'a', content: [PNG] }, /exactly one of text and content/],
    [{ type: 'message', text: 1 }, /^text: /],
    [{ type: 'message', text: '\n ' }, /^text: must not be empty/],
    [{ type: 'message', text: 'a', extra: 1 }, /^extra: no such field/],
    [{ type: 'message', text: 'a', id: '' }, /^id: /],
    [{ type: 'message', text: 'a', id: 'x'.repeat(129) }, /^id: /],
    [{ type: 'message', content: [] }, /^content: /],
    [{ type: 'message', content: [{ type: 'video' }] }, /^content\.0\.type: /],
    [{ type: 'message', content: [{ ...PNG, mimeType: 'image/svg+xml' }] }, /^content\.0\.mimeType: /],
    [{ type: 'message', content: [{ ...PNG, url: 'x' }] }, /^content\.0\.url: no such field/],
    [{ type: 'tool:approval', approved: true }, /^callId: /],
    [{ type: 'tool:approval', callId: 'c', approved: 'yes' }, /^approved: /],
    [{ type: 'tool:approval', callId: 'c', approved: true, args: [] }, /^args: must be an object/],
    [{ type: 'tool:approval', callId: 'c', approved: true, remember: 'always' }, /^remember: /],
    [{ type: 'elicitation:reply', requestId: 'r', action: 'maybe' }, /^action: /],
    [{ type: 'ping', text: 'x' }, /^text: no such field/],
  ];
  for (const [value, message] of cases) {
    const result = parseFrame(JSON.stringify(value));
    t.match(result, { ok: false, error: { code: 'ERR_BAD_FRAME', message } }, JSON.stringify(value));
  }
  t.match(parseFrame('{"type"'), { ok: false, error: { code: 'ERR_BAD_FRAME', message: /^not JSON/ } });
  t.match(parseFrame('{"type":"nope","id":"me"}'), { ok: false, id: 'me' });
});

function parse(data: string): unknown {
  return parseFrame(JSON.stringify({ type: 'message', id: 'm1', content: [{ ...PNG, data }] }));
}

t.test('an image that nobody can read is refused at once, with the reason; a large one goes on', async (t) => {
  const cases: [data: string, message: RegExp][] = [
    ['no base64!', /^content\.0\.data: the image is not valid base64$/],
    ['aGk=', /^content\.0\.data: the image is no PNG, JPEG, GIF or WebP/],
    [png(60_000, 60_000), /60000 × 60000 pixels/],
  ];
  for (const [data, message] of cases) {
    t.match(parse(data), { ok: false, id: 'm1', error: { code: 'ERR_BAD_IMAGE', message } });
  }
  t.match(parse(png(8_001, 20)), { ok: true });
  t.match(parse(png(20, 20, 4_000_000)), { ok: true });
});

t.test('no text makes parseFrame throw', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      parseFrame(text);
    }),
  );
});

t.test('plain text becomes one text block', async (t) => {
  t.strictSame(toUserBlocks({ text: 'hi' }), [{ type: 'text', text: 'hi' }]);
});

t.test('a ping is the same frame however it is written', async (t) => {
  for (const id of ['p', 'a-1_b:c.d', 'x'.repeat(128), 'with "quotes"', 'ü', ' ']) {
    const expected = { ok: true, frame: { type: 'ping', id } };
    t.strictSame(parseFrame(JSON.stringify({ type: 'ping', id })), expected, id);
    t.strictSame(parseFrame(JSON.stringify({ id, type: 'ping' }, null, 1)), expected, id);
  }
  t.strictSame(parseFrame('{"type":"ping"}'), { ok: true, frame: { type: 'ping' } });
  for (const id of ['', 'x'.repeat(129)]) t.match(parseFrame(JSON.stringify({ type: 'ping', id })), { ok: false });
});
