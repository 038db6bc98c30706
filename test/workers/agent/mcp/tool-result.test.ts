import t from 'tap';
import type { ContentBlock } from '../../../../src/protocol.js';
import { boundContent, contentOf, toModelContent } from '../../../../workers/agent/mcp/tool-result.js';

const text = (value: string): ContentBlock => ({ type: 'text', text: value });

void t.test('what fits is passed on as it is', async (t) => {
  const content: ContentBlock[] = [text('a'), { type: 'image', data: 'AAAA', mimeType: 'image/png' }];
  t.same(boundContent(content, 5), content);
  t.same(boundContent([], 5), []);
});

void t.test('a long text keeps its head and its tail and says that it was cut', async (t) => {
  const [block] = boundContent([text(`HEAD${'x'.repeat(10_000)}TAIL`)], 100);
  t.match(block, { type: 'text', truncated: true });
  const cut = block?.type === 'text' ? block.text : '';
  t.match(cut, /^HEAD/);
  t.match(cut, /TAIL$/);
  t.match(cut, '9908 bytes cut');
  t.ok(Buffer.byteLength(cut) < 140);
});

void t.test('a cut never leaves half a character', async (t) => {
  for (const sample of ['é', '漢', '🙂', 'a🙂']) {
    for (let max = 0; max < 24; max++) {
      const [block] = boundContent([text(sample.repeat(50))], max);
      t.notMatch(block?.type === 'text' && block.text, /\uFFFD/, `${sample} at ${max}`);
    }
  }
});

void t.test('the limit is for all blocks together, and later ones are left out by name', async (t) => {
  const content = boundContent(
    [text('x'.repeat(60)), text('y'.repeat(60)), { type: 'image', data: 'z'.repeat(60), mimeType: 'image/png' }],
    100,
  );
  t.match(content, [{ text: 'x'.repeat(60) }, { truncated: true }, { type: 'text', truncated: true }]);
  t.notMatch(JSON.stringify(content), 'zzz');
});

void t.test('images that the model’s API takes become its image blocks; all else becomes text', async (t) => {
  t.same(
    toModelContent([
      { type: 'image', data: 'AAAA', mimeType: 'image/png' },
      { type: 'image', data: 'AAAA', mimeType: 'image/svg+xml' },
      { type: 'audio', data: 'AAAA', mimeType: 'audio/wav' },
      { type: 'resource_link', uri: 'file:///a', name: 'a' },
    ]),
    [
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
      { type: 'text', text: '[image image/svg+xml, 4 base64 characters]' },
      { type: 'text', text: '[audio audio/wav, 4 base64 characters]' },
      { type: 'text', text: '{"type":"resource_link","uri":"file:///a","name":"a"}' },
    ],
  );
});

void t.test('a result without anything says so: the API refuses empty text', async (t) => {
  const nothing = [{ type: 'text', text: '(no output)' }];
  t.same(toModelContent([]), nothing);
  t.same(toModelContent([text('')]), nothing);
  t.same(toModelContent([text(''), text('a')]), [{ type: 'text', text: 'a' }]);
});

void t.test('more blocks than anyone can read are cut, with a note', (t) => {
  const many = Array.from({ length: 2_000 }, () => ({ type: 'text' as const, text: '' }));
  const bounded = boundContent(many, 1_000);
  t.equal(bounded.length, 501);
  t.match(bounded.at(-1), { text: '[1500 more blocks left out]', truncated: true });
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
