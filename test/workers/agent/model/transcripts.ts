/** Transcripts of every kind of brokenness, for the properties of what must make them valid. Runs in tests. */
import * as fc from 'fast-check';
import { gif, jpeg, png, webp } from '../../../helpers/images.js';
import type { TranscriptMessage } from '../../../../workers/agent/store/store.js';

/** Few ids, so that pairs, orphans and repeats all come about. */
const id = fc.constantFrom('a', 'b', 'c', 'd');
const words = fc.constantFrom('', ' ', '\n', 'hello', 'grüße 👋', 'two words');

const text = fc.record({ type: fc.constant('text'), text: words });
const toolUse = fc.record({ type: fc.constant('tool_use'), id, name: fc.constant('read_file'), input: fc.object() });
const toolResult = fc.record(
  {
    type: fc.constant('tool_result'),
    tool_use_id: id,
    content: fc.oneof(words, fc.array(fc.oneof(text, fc.constant(image('image/png')), fc.constant(null)))),
    is_error: fc.boolean(),
  },
  { requiredKeys: ['type', 'tool_use_id'] },
);
const thinking = fc.record(
  { type: fc.constant('thinking'), thinking: words, signature: fc.constantFrom('', 'c2lnbmVk') },
  { requiredKeys: ['type', 'thinking'] },
);
const redacted = fc.record({ type: fc.constant('redacted_thinking'), data: fc.constantFrom('', 'ZGF0YQ==') });
const odd = fc.constantFrom<unknown[]>(
  null,
  'text',
  { type: 'text' },
  { type: 'tool_use', id: 'not an id', name: 'x', input: {} },
  { type: 'tool_use', id: 'e', name: 'x', input: 'not an object' },
  { type: 'tool_result' },
  { type: 'image' },
  { type: 'audio', data: 'AAAA' },
  image('image/tiff'),
  image('image/png'),
  image('image/png', jpeg(9_000, 10)),
  image('image/png', webp(2_500, 10)),
  image('image/jpeg', gif(3, 3)),
  image('image/png', 'AAAA'),
  image('image/png', 'iVBORw0KGgo='),
  image('image/png', 'no base64'),
  { type: 'text', text: 'half \ud83d of it' },
  { type: 'tool_use', id: 'f', name: 'odd name \udc00', input: { '\ud83d': ['\udc00'] } },
  { type: 'tool_result', tool_use_id: 'a', content: 'cut \ud83d' },
  { type: 'text', text: 'more', citations: null, extra: true },
);

const block = fc.oneof(text, toolUse, toolResult, thinking, redacted, odd);

/** Blocks of any kind under any role, in any order. */
export const anyTranscript: fc.Arbitrary<TranscriptMessage[]> = fc.array(
  fc.record({
    role: fc.constantFrom('user' as const, 'assistant' as const),
    content: fc.array<unknown>(block, { maxLength: 4 }),
  }),
  { maxLength: 10 },
);

export function image(mediaType: string, data = png(1, 1)): unknown {
  return { type: 'image', source: { type: 'base64', media_type: mediaType, data } };
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) deepFreeze(item);
  }
  return value;
}

export function user(...content: unknown[]): TranscriptMessage {
  return { role: 'user', content: content.map(asBlock) };
}

export function assistant(...content: unknown[]): TranscriptMessage {
  return { role: 'assistant', content: content.map(asBlock) };
}

export const use = (id: string, input: unknown = {}): unknown => ({ type: 'tool_use', id, name: 'read_file', input });

export const result = (id: string, text = 'done'): unknown => ({
  type: 'tool_result',
  tool_use_id: id,
  content: [{ type: 'text', text }],
});

const asBlock = (block: unknown): unknown => (typeof block === 'string' ? { type: 'text', text: block } : block);
