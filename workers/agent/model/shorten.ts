/** Leaves results and long arguments out of what the model is sent, in words that say how to get them. Pure; agent threads. */
import { cutMiddle, cutText } from '../../../src/shared/cut-text.js';
import type { TranscriptMessage } from '../store/store.js';
import { weighBlock } from './context-weight.js';

/** Shorter ones stay: they cost little more than the words in their place, and may be what a turn is about. */
const SHORT_BYTES = 2_000;
/** About what the words cost. */
const WORDS_BYTES = 500;
/** Of a long argument that stays. */
const KEPT_OF_ARGUMENT = 200;

/** Put before the oldest message that is sent, when there are older ones. */
export const EARLIER_CUT = {
  type: 'text',
  text:
    '[Earlier messages of this conversation are not shown here, because it has grown long. What they did stands. ' +
    'Read files again for what was in them, and ask the user for what only the user knows.]',
};

/** The message without its results, but for short ones; what has none and no long arguments is the same object. */
export function withoutResults(message: TranscriptMessage, maxBytes: number): TranscriptMessage {
  const shortBytes = Math.max(WORDS_BYTES, Math.min(SHORT_BYTES, maxBytes));
  return changed(message, (block) => {
    switch (block['type']) {
      case 'tool_result':
        return withoutContent(block, shortBytes);
      case 'tool_use': {
        const input = shortened(block['input'], shortBytes);
        return input === block['input'] ? block : { ...block, input };
      }
      default:
        return block;
    }
  });
}

/** The message with results of at most so many bytes of text each: the longest text in a result loses its middle. */
export function withShortResults(message: TranscriptMessage, maxBytes: number): TranscriptMessage {
  return changed(message, (block) => {
    const parts = block['type'] === 'tool_result' ? block['content'] : undefined;
    if (!Array.isArray(parts)) return block;
    const sizes = parts.map((part) => Buffer.byteLength(textOf(part)));
    const over = sizes.reduce((sum, size) => sum + size, 0) - maxBytes;
    if (over <= 0) return block;
    const longest = sizes.indexOf(Math.max(...sizes));
    const kept = Math.max(0, sizes[longest]! - over);
    const content: unknown[] = [...parts];
    content[longest] = { type: 'text', text: cutMiddle(textOf(parts[longest]), kept, cutNote) };
    return { ...block, content };
  });
}

function withoutContent(block: Block, shortBytes: number): Block {
  const { content } = block;
  const parts: unknown[] = Array.isArray(content) ? content : [{ type: 'text', text: String(content) }];
  const bytes = parts.reduce((sum: number, part) => sum + Buffer.byteLength(textOf(part)), 0);
  const images = parts.filter((part) => (part as Block | null)?.['type'] === 'image').length;
  if (bytes <= shortBytes && images === 0) return block;
  const what = [...(bytes > 0 ? [`${bytes} bytes`] : []), ...(images > 0 ? [`${images} images`] : [])].join(' and ');
  const text =
    `[The result of this call (${what}) is not shown here any more, because the conversation has grown longer than the model takes. ` +
    'The call has run. If you still need what it gave, get it again, in smaller parts or fewer at once.]';
  return { ...block, content: [{ type: 'text', text }] };
}

function shortened(input: unknown, shortBytes: number): unknown {
  if (typeof input !== 'object' || input === null || weighBlock(input) * 3 <= shortBytes) return input;
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => {
      const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
      if (text.length <= shortBytes) return [name, value];
      const left = `[… ${text.length} characters in all; the rest is not shown here any more, and was sent to the tool]`;
      return [name, `${cutText(text, KEPT_OF_ARGUMENT)}${left}`];
    }),
  );
}

type Block = Record<string, unknown>;

function changed(message: TranscriptMessage, change: (block: Block) => Block): TranscriptMessage {
  const content = message.content.map((block) =>
    typeof block === 'object' && block !== null ? change(block as Block) : block,
  );
  return content.every((block, index) => block === message.content[index]) ? message : { ...message, content };
}

function cutNote(bytes: number): string {
  return `[… ${bytes} bytes are not shown here, because the model takes no more: ask for a smaller part at a time to see them …]`;
}

function textOf(part: unknown): string {
  const text = (part as Block | null)?.['text'];
  return typeof text === 'string' ? text : '';
}
