/** Bounds a tool's content: short blocks stay whole, long ones lose their middle, images have a limit of their own. Pure; agent threads. */
import { cutMiddle } from '../../../../src/shared/cut-text.js';
import type { ContentBlock } from '../../../../src/shared/protocol.js';

type ResourceBlock = Extract<ContentBlock, { type: 'resource' | 'resource_link' }>;

export interface ContentLimits {
  /** Of all blocks but images. */
  maxBytes: number;
  /** Of the base64 of all images. */
  maxImageBytes: number;
}

/** More than any tool needs. Each block has a cost in the client, the log and the model's context. */
const MAX_BLOCKS = 500;
/** Servers say at the end what is missing, so the last blocks of too many stay. */
const LAST_BLOCKS = 50;

/** What was cut has `truncated`, and a note in its place that says how to get it. */
export function boundContent(
  content: readonly ContentBlock[],
  { maxBytes, maxImageBytes }: ContentLimits,
): ContentBlock[] {
  // Texts first, so that no note of an image is cut.
  const bounded = boundImages(boundTexts(content, maxBytes), maxImageBytes, oversized);
  const left = bounded.length - MAX_BLOCKS;
  if (left <= 0) return bounded;
  const note = textBlock(`[${left} more blocks left out here: ask for fewer at once]`);
  return [...bounded.slice(0, MAX_BLOCKS - LAST_BLOCKS), note, ...bounded.slice(-LAST_BLOCKS)];
}

/** The content as an event brings it to clients: a reader that has more unsent than `maxUnsentBytes` is cut off. */
export function contentForEvent(content: readonly ContentBlock[], maxUnsentBytes: number): ContentBlock[] {
  return boundImages(content, maxUnsentBytes / 2, (bytes) => `[image of ${bytes} bytes of base64: see the history]`);
}

/** Puts text in place of each image for which `maxBytes` has no room left. */
function boundImages(
  content: readonly ContentBlock[],
  maxBytes: number,
  describe: (bytes: number, maxBytes: number) => string,
): ContentBlock[] {
  let left = maxBytes;
  return content.map((block) => {
    const bytes = imageBytes(block);
    if (bytes === undefined) return block;
    if (bytes > left) return textBlock(describe(bytes, maxBytes));
    left -= bytes;
    return block;
  });
}

function oversized(bytes: number, maxBytes: number): string {
  return `[image of ${bytes} bytes of base64 left out: a result holds ${maxBytes}. Ask for a smaller one, or for fewer at once]`;
}

/** The longest blocks give way, so that a short one never pays for a long one: it may be the note that says what is missing. */
function boundTexts(content: readonly ContentBlock[], maxBytes: number): ContentBlock[] {
  const texts = content.filter((block) => imageBytes(block) === undefined);
  const whole = texts.filter((block) => cuttableText(block) === undefined);
  const share = fairShare(texts.map(sizeOf), maxBytes);
  const leftOut = new Set(whole.filter((block) => sizeOf(block) > share));
  const kept = texts.filter((block) => !leftOut.has(block));
  // What is left out whole leaves its share to the others.
  const shareOfKept = leftOut.size > 0 ? fairShare(kept.map(sizeOf), maxBytes) : share;
  return content.map((block) => {
    if (leftOut.has(block))
      return textBlock(`[${block.type} of ${sizeOf(block)} bytes left out: over the limit. Ask for a smaller part]`);
    const text = cuttableText(block);
    if (text === undefined || sizeOf(block) <= shareOfKept) return block;
    const around = sizeOf(block) - Buffer.byteLength(text);
    const cut = cutMiddle(text, shareOfKept - around, cutNote);
    return block.type === 'resource' ? withText(block, cut) : textBlock(cut);
  });
}

/** The most that one of the sizes may have, when all that are smaller stay as they are. */
function fairShare(sizes: readonly number[], total: number): number {
  let left = total;
  const ascending = sizes.toSorted((a, b) => a - b);
  for (const [index, size] of ascending.entries()) {
    const share = left / (ascending.length - index);
    if (size > share) return share;
    left -= size;
  }
  return Infinity;
}

/** Bytes of all that is no image. */
export function textBytes(content: readonly ContentBlock[]): number {
  return content.reduce((sum, block) => sum + (imageBytes(block) === undefined ? sizeOf(block) : 0), 0);
}

/** Undefined for what is no image. */
function imageBytes(block: ContentBlock): number | undefined {
  if (block.type === 'image') return block.data.length;
  if (block.type !== 'resource') return undefined;
  const { mimeType, blob } = resourceOf(block);
  const isImage = typeof blob === 'string' && typeof mimeType === 'string' && mimeType.startsWith('image/');
  return isImage ? blob.length : undefined;
}

function cuttableText(block: ContentBlock): string | undefined {
  if (block.type === 'text') return block.text;
  if (block.type !== 'resource') return undefined;
  const { text } = resourceOf(block);
  return typeof text === 'string' ? text : undefined;
}

function withText(block: ResourceBlock, text: string): ContentBlock {
  return { ...block, resource: { ...resourceOf(block), text }, truncated: true };
}

function resourceOf(block: { [key: string]: unknown }): Record<string, unknown> {
  const { resource } = block;
  return typeof resource === 'object' && resource !== null ? (resource as Record<string, unknown>) : {};
}

function sizeOf(block: ContentBlock): number {
  if (block.type === 'text') return Buffer.byteLength(block.text);
  if (block.type === 'image' || block.type === 'audio') return block.data.length;
  const text = block.type === 'resource' ? resourceOf(block)['text'] : undefined;
  // Counted in UTF-8, as other text is, and not with the escapes of JSON.
  if (typeof text === 'string')
    return Buffer.byteLength(JSON.stringify(withText(block as ResourceBlock, ''))) + Buffer.byteLength(text);
  return Buffer.byteLength(JSON.stringify(block));
}

function textBlock(text: string): ContentBlock {
  return { type: 'text', text, truncated: true };
}

function cutNote(bytes: number): string {
  return `[… ${bytes} bytes cut here: ask for a smaller part at a time to see them …]`;
}
