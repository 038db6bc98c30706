/** Converts a user's message for the model's API, and into a title. Pure; agent threads. */
import { cutText } from '../../../src/shared/cut-text.js';
import type { Said, UserBlock } from '../../../src/shared/protocol.js';

const TITLE_CHARACTERS = 80;
const SAID_CHARACTERS = 8_192;
const SAID_FILES = 20;
const SAID_PATH = 400;

/** The session's title: the first words of its first message. */
export function titleOf(content: readonly UserBlock[]): string {
  const text = content.find((block) => block.type === 'text')?.text ?? '';
  return cutText(text.trim().replaceAll(/\s+/g, ' '), TITLE_CHARACTERS);
}

/** What the user's other pages show of it. The whole is in the history, so that the log need not hold it twice. */
export function saidOf(content: readonly UserBlock[]): Said {
  const texts = content.flatMap((block) => (block.type === 'text' ? [block.text] : []));
  const whole = texts.join('\n\n');
  const text = cutText(whole, SAID_CHARACTERS);
  const images = content.filter(({ type }) => type === 'image').length;
  const paths = content.flatMap((block) => (block.type === 'file' ? [cutText(block.path, SAID_PATH)] : []));
  return {
    text,
    ...(text.length < whole.length && { truncated: true as const }),
    ...(images > 0 && { images }),
    ...(paths.length > 0 && { files: paths.slice(0, SAID_FILES) }),
  };
}

/** A Messages API content block. */
export function toModelBlock(block: Exclude<UserBlock, { type: 'file' }>): unknown {
  if (block.type === 'text') return { type: 'text', text: block.text };
  return { type: 'image', source: { type: 'base64', media_type: block.mimeType, data: block.data } };
}
