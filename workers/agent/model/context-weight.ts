/** Estimates what blocks cost in the model's context, before its API has counted them. Pure; agent threads. */
import type { TranscriptMessage } from '../store/store.js';
import { cleanBlock, factsOf } from './clean-blocks.js';

/** Higher than for prose, so that the estimate errs on the safe side. By bytes, since a Chinese character is about a token. */
const TOKENS_PER_BYTE = 1 / 3;
/** The API scales an image down to about 2,576 pixels a side, and counts a token for 750 of its pixels. */
const MAX_IMAGE_SIDE = 2_576;
const PIXELS_PER_TOKEN = 750;
const MAX_IMAGE_TOKENS = 4_784;

export function bytesFor(tokens: number): number {
  return Math.floor(tokens / TOKENS_PER_BYTE);
}

export function weighMessage({ content }: TranscriptMessage): number {
  return content.reduce((sum: number, block) => sum + weighBlock(block), 0);
}

export function weighText(text: string): number {
  return Buffer.byteLength(text) * TOKENS_PER_BYTE;
}

export function weighBlock(block: unknown): number {
  const { type, text, content } = (block ?? {}) as { type?: unknown; text?: unknown; content?: unknown };
  switch (type) {
    case 'image':
      return weighImage(block);
    case 'text':
      return weighText(String(text));
    case 'tool_result':
      if (Array.isArray(content)) return content.reduce((sum: number, part) => sum + weighBlock(part), 0);
      return weighText(String(content));
    default:
      return weighText(JSON.stringify(block) ?? '');
  }
}

/** By its pixels, and not by its base64. What is not known counts as the largest. */
function weighImage(block: unknown): number {
  const image = cleanBlock(block, 'user');
  if (image?.type !== 'image') return weighText(JSON.stringify(image ?? ''));
  const facts = factsOf(image);
  if (!facts) return MAX_IMAGE_TOKENS;
  const { width, height } = facts;
  const scale = Math.min(1, MAX_IMAGE_SIDE / Math.max(width, height));
  return Math.min(MAX_IMAGE_TOKENS, Math.ceil((width * scale * height * scale) / PIXELS_PER_TOKEN));
}
