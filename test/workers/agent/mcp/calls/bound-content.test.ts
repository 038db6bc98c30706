import { array, assert, integer, nat, property } from 'fast-check';
import t from 'tap';
import type { ContentBlock } from '../../../../../src/shared/protocol.js';
import { boundContent, contentForEvent } from '../../../../../workers/agent/mcp/calls/bound-content.js';
import { png } from '../../../../helpers/images.js';

const NO_IMAGES = 0;
const limits = (maxBytes: number, maxImageBytes = NO_IMAGES) => ({ maxBytes, maxImageBytes });

const text = (value: string): ContentBlock => ({ type: 'text', text: value });
const image = (data: string): ContentBlock => ({ type: 'image', data, mimeType: 'image/png' });
const resource = (fields: Record<string, unknown>): ContentBlock => ({ type: 'resource', resource: fields });
const textOf = (block: ContentBlock | undefined): string => (block?.type === 'text' ? block.text : '');

t.test('what fits is passed on as it is', async (t) => {
  const content = [text('a'), image('AAAA'), { type: 'audio' as const, data: 'BBBB', mimeType: 'audio/wav' }];
  t.same(boundContent(content, limits(5, 4)), content);
  t.same(boundContent([], limits(5)), []);
});

t.test('a long text keeps its head and its tail and says what is missing and how to get it', async (t) => {
  const [block] = boundContent([text(`HEAD${'x'.repeat(10_000)}TAIL`)], limits(100));
  t.match(block, { type: 'text', truncated: true });
  t.match(textOf(block), /^HEAD/);
  t.match(textOf(block), /TAIL$/);
  t.match(textOf(block), '9908 bytes cut here: ask for a smaller part');
  t.ok(Buffer.byteLength(textOf(block)) < 200);
});

t.test('a cut never leaves half a character', async (t) => {
  for (const sample of ['é', '漢', '🙂', 'a🙂']) {
    for (let max = 0; max < 24; max++) {
      const [block] = boundContent([text(sample.repeat(50))], limits(max));
      t.notMatch(textOf(block), /\uFFFD/, `${sample} at ${max}`);
    }
  }
});

t.test('a note stays whole wherever it stands beside a long text, since the text alone is cut', async (t) => {
  const note = text('[lines 1–2000 of 9000 are shown; continue with offset 2001]');
  for (const content of [
    [text('x'.repeat(262_144)), note],
    [note, text('x'.repeat(1_000_000))],
    [text('x'.repeat(300_000)), note, text('y'.repeat(300_000)), note],
    [...Array.from({ length: 40 }, () => text('x'.repeat(100_000))), note],
  ]) {
    const bounded = boundContent(content, limits(262_144));
    content.forEach((block, index) => {
      if (block === note) t.equal(bounded[index], note);
      else t.match(bounded[index], { truncated: true });
    });
  }
});

t.test('the limit is for all texts together, and short ones are never cut for long ones', () => {
  assert(
    property(array(nat(5_000), { minLength: 1, maxLength: 30 }), integer({ min: 100, max: 20_000 }), (sizes, max) => {
      const bounded = boundContent(
        sizes.map((size) => text('x'.repeat(size))),
        limits(max),
      );
      const kept = bounded.reduce((sum, block) => sum + (textOf(block).match(/x/g)?.length ?? 0), 0);
      const cut = sizes.filter((_, index) => bounded[index]?.truncated === true);
      const whole = sizes.filter((_, index) => bounded[index]?.truncated !== true);
      const isSorted = cut.length === 0 || Math.max(0, ...whole) <= Math.min(...cut);
      return kept <= max && isSorted;
    }),
  );
  return Promise.resolve();
});

t.test('what short texts leave of the limit is for the long ones', async (t) => {
  const [long] = boundContent([text('x'.repeat(10_000)), text('short'), text('y'.repeat(400))], limits(1_000));
  t.ok(textOf(long).split('x').length > 590);
});

t.test('an ordinary screenshot is whole, however little text a result may have', async (t) => {
  const screenshot = image(png(1920, 1080, 1_000_000));
  t.equal(boundContent([text('x'.repeat(5_000)), screenshot], limits(100, 8_388_608))[1], screenshot);
  const embedded = resource({ uri: 'a:b', mimeType: 'image/png', blob: png(1920, 1080, 1_000_000) });
  t.equal(boundContent([embedded], limits(100, 8_388_608))[0], embedded);
});

t.test('images beyond their own limit are told by size, with what to do', async (t) => {
  const content = boundContent([image('A'.repeat(60)), image('B'.repeat(60)), text('kept')], limits(100, 100));
  t.match(content, [{ type: 'image' }, { type: 'text', truncated: true }, { text: 'kept' }]);
  t.match(textOf(content[1]), /60 bytes of base64.*Ask for a smaller one/);
});

t.test('an embedded text is cut as a text is, and keeps its address', async (t) => {
  const [block] = boundContent([resource({ uri: 'file:///a', text: `HEAD${'é'.repeat(50_000)}TAIL` })], limits(1_000));
  t.match(block, {
    type: 'resource',
    truncated: true,
    resource: { uri: 'file:///a', text: /^HEADé+\n\[….*\nTAIL$|TAIL$/ },
  });
  t.ok(Buffer.byteLength(JSON.stringify(block)) < 1_300);
});

t.test('what cannot be cut is left out by name, and its share goes to the others', async (t) => {
  const content = boundContent(
    [resource({ uri: 'a:b', blob: 'z'.repeat(5_000) }), text('y'.repeat(900))],
    limits(1_000),
  );
  t.match(content, [
    { type: 'text', text: /resource of \d+ bytes left out/, truncated: true },
    { text: 'y'.repeat(900) },
  ]);
});

t.test('of more blocks than anyone can read the first and the last stay, with a note between them', async (t) => {
  const many = Array.from({ length: 2_000 }, (_, index) => text(`${index}`));
  const bounded = boundContent(many, limits(100_000));
  t.equal(bounded.length, 501);
  t.match(bounded[450], { text: '[1500 more blocks left out here: ask for fewer at once]', truncated: true });
  t.match(bounded.at(-1), { text: '1999' });
});

t.test('an event has the images that a reader can take, and names the others', async (t) => {
  const content = [image('A'.repeat(60)), image('B'.repeat(60)), text('kept')];
  t.match(contentForEvent(content, 200), [
    { type: 'image' },
    { type: 'text', text: /see the history/ },
    { text: 'kept' },
  ]);
});
