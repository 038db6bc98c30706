/** Converts a user's message for the model's API, and into a title. Pure; agent threads. */
import { cutText } from '../../../src/shared/cut-text.js';
import type { UserBlock } from '../../../src/shared/protocol.js';

const TITLE_CHARACTERS = 80;

/** The session's title: the first words of its first message. */
export function titleOf(content: readonly UserBlock[]): string {
  const text = content.find((block) => block.type === 'text')?.text ?? '';
  return cutText(text.trim().replaceAll(/\s+/g, ' '), TITLE_CHARACTERS);
}

/** A Messages API content block. */
export function toModelBlock(block: UserBlock): unknown {
  if (block.type === 'text') return { type: 'text', text: block.text };
  return { type: 'image', source: { type: 'base64', media_type: block.mimeType, data: block.data } };
}
