import t from 'tap';
import { IMAGE_MAKERS } from '../../../../helpers/images.js';
import type { ContentBlock } from '../../../../../src/shared/protocol.js';
import { contentOf, outputOf, toModelContent } from '../../../../../workers/agent/mcp/calls/tool-result.js';

const LIMITS = { maxBytes: 1_000, maxImageBytes: 1_000 };

const text = (value: string): ContentBlock => ({ type: 'text', text: value });

const saidOf = (block: ContentBlock): unknown[] => toModelContent({ content: [block] });
const image = (data: string): unknown => saidOf({ type: 'image', data, mimeType: 'image/png' })[0];
const resource = (resource: unknown): unknown[] => saidOf({ type: 'resource', resource });

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

void t.test('images that the model’s API takes become its image blocks; all else becomes text', async (t) => {
  t.same(
    toModelContent({
      content: [
        { type: 'image', data: PNG, mimeType: 'image/png' },
        { type: 'image', data: 'AAAA', mimeType: 'image/svg+xml' },
        { type: 'audio', data: 'AAAA', mimeType: 'audio/wav' },
        { type: 'resource_link', uri: 'file:///a', name: 'a', mimeType: 'text/plain' },
      ],
    }),
    [
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } },
      {
        type: 'text',
        text: '[image image/svg+xml, 4 base64 characters: it is no PNG, JPEG, GIF or WebP that can be read]',
      },
      { type: 'text', text: '[audio audio/wav, 4 base64 characters: it cannot be listened to here]' },
      { type: 'text', text: '[link to a resource: file:///a (a; text/plain)]' },
    ],
  );
});

void t.test(
  'an image is what its bytes are, and none where they are none: the API would refuse it for ever',
  async (t) => {
    for (const [type, make] of Object.entries(IMAGE_MAKERS)) {
      t.match(image(make(3, 4)), { type: 'image', source: { media_type: `image/${type}` } });
    }
    t.match(image(IMAGE_MAKERS.png(9_000, 4)), { type: 'text', text: /9000 × 4 pixels.*8000/ });
    for (const bad of ['', 'AAAA', 'no base64!', 'iVBORw0K\n', 'iVBOR']) t.match(image(bad), { type: 'text' }, bad);
  },
);

void t.test('embedded resources are given as their text, as an image, or by name', async (t) => {
  t.same(resource({ uri: 'a:b', mimeType: 'text/x', text: 'hello' }), [
    { type: 'text', text: '[resource a:b, text/x]\nhello' },
  ]);
  t.match(resource({ uri: 'a:b', mimeType: 'image/png', blob: PNG }), [{ type: 'text' }, { type: 'image' }]);
  t.same(resource({ uri: 'a:b', mimeType: 'application/zip', blob: 'AAAA' }), [
    { type: 'text', text: '[resource a:b, application/zip, 4 base64 characters]' },
  ]);
  t.match(resource(undefined), [{ type: 'text' }]);
});

void t.test('a result without anything says so: the API refuses empty text', async (t) => {
  const nothing = [{ type: 'text', text: '(no output)' }];
  t.same(toModelContent({ content: [] }), nothing);
  t.same(toModelContent({ content: [text('')] }), nothing);
  t.same(toModelContent({ content: [text(''), text('a')] }), [{ type: 'text', text: 'a' }]);
});

void t.test(
  'structured content is given to the client, and to the model where the text does not say the same',
  async (t) => {
    const structuredContent = { rows: [1, 2] };
    const same = outputOf({ content: [text('{ "rows": [1, 2] }')], structuredContent }, LIMITS);
    t.same(same.structuredContent, structuredContent);
    t.equal(toModelContent(same).length, 1);
    const other = outputOf({ content: [text('two rows')], structuredContent }, LIMITS);
    t.same(toModelContent(other), [text('two rows'), text('{"rows":[1,2]}')]);
  },
);

void t.test('structured content that repeats the text is not given to the model a second time', async (t) => {
  const long = 'word '.repeat(150);
  const picture = { type: 'image' as const, data: PNG, mimeType: 'image/png' };
  const told: [ContentBlock[], Record<string, unknown>][] = [
    [[text(long)], { content: long }],
    [[text('5')], { result: 5 }],
    [[text('a'), text('b')], { result: ['a', 'b'] }],
    [[text('a'), text('b')], { content: 'a\nb' }],
    [[text('{"a":1}'), text('{"a":2}')], { result: [{ a: 1 }, { a: 2 }] }],
    [[picture], { content: [picture] }],
    [[text(`${'1%\r'.repeat(50)}2%`)], { result: `${'1%\r'.repeat(50)}2%` }],
  ];
  for (const [content, structuredContent] of told) {
    const output = outputOf({ content, structuredContent }, { maxBytes: 10_000, maxImageBytes: 10_000 });
    t.same(output.structuredContent, structuredContent, 'the client has it');
    t.equal(toModelContent(output).length, content.length);
    const small = { maxBytes: 1, maxImageBytes: 10_000, problem: 'too large to be checked' };
    t.notMatch(JSON.stringify(outputOf({ content, structuredContent }, small)), 'structured', 'nothing is missing');
  }
  for (const [said, structuredContent] of [
    ['a', { result: 'b' }],
    ['a', { result: 'a', more: 1 }],
    ['two', { result: ['two', 'three'] }],
  ] as const) {
    const output = outputOf({ content: [text(said)], structuredContent }, LIMITS);
    t.same(toModelContent(output)[1], text(JSON.stringify(structuredContent)));
  }
});

void t.test(
  'structured content that finds no room is left out by name, and one that does not fit its schema is told',
  async (t) => {
    const structuredContent = { long: 'x'.repeat(200) };
    const cut = outputOf({ content: [text('short')], structuredContent }, { ...LIMITS, maxBytes: 100 });
    t.notOk('structuredContent' in cut);
    t.match(cut.content.at(-1), { text: /structured content of \d+ bytes left out/ });
    const wrong = outputOf({ content: [text('{}')], structuredContent: {} }, { ...LIMITS, problem: 'a is missing' });
    t.match(wrong.content.at(-1), { text: /does not fit the tool's output schema: a is missing/ });
  },
);

void t.test('output of a program is what a terminal would show, and what a tool has read is exact', (t) => {
  const content = [text(`${'10%\r'.repeat(100_000)}\u001B[32m100%\u001B[0m\r\ndone\r\n`), text('a\r\nb')];
  t.same(outputOf({ content }, LIMITS).content, [text('100%\ndone\n'), text('a\r\nb')]);
  const read = [text('a\rb\u001B[1m')];
  t.same(outputOf({ content: read }, { ...LIMITS, isExact: true }).content, read);
  t.end();
});

void t.test('structured content stands in where there is no other', (t) => {
  t.same(contentOf({ structuredContent: { a: 1 } }), [{ type: 'text', text: '{"a":1}' }]);
  t.same(contentOf({ content: [{ type: 'text', text: 'x' }], structuredContent: { a: 1 } }), [
    { type: 'text', text: 'x' },
  ]);
  t.same(contentOf({}), []);
  t.end();
});
