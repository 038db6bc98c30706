/** Reduces content blocks to what the Messages API accepts: known fields with valid values. Pure; agent threads. */
import type {
  ContentBlockParam,
  ImageBlockParam,
  TextBlockParam,
  ToolResultBlockParam,
} from '@anthropic-ai/sdk/resources/messages';
import { createHash } from 'node:crypto';
import { judgeImage, type ImageFacts } from '../../../src/shared/image-facts.js';
import type { TranscriptMessage } from '../store/store.js';

type Json = Record<string, unknown>;

const TOOL_USE_ID = /^[a-zA-Z0-9_-]+$/;
const MAX_TOOL_NAME = 64;
/** Verdicts by the stored block, so that a round of the turn does not read the same megabytes again. */
const images = new WeakMap<Json, ImageBlockParam | TextBlockParam>();
/** The API takes only text in an error result. */
const IMAGE_OF_FAILURE: TextBlockParam = {
  type: 'text',
  text: '[An image was left out: the result of a call that failed holds text alone.]',
};
const facts = new WeakMap<ImageBlockParam, ImageFacts>();

/** Of a block that `cleanBlock` made; undefined for an image that only a URL names. */
export function factsOf(image: ImageBlockParam): ImageFacts | undefined {
  return facts.get(image);
}

/** A copy of the block, never the block itself; undefined when a message of that role cannot hold it. */
export function cleanBlock(block: unknown, role: TranscriptMessage['role']): ContentBlockParam | undefined {
  if (!isObject(block)) return undefined;
  if (block['type'] === 'text') return cleanText(block);
  if (role === 'user') {
    if (block['type'] === 'image') return cleanImage(block);
    return block['type'] === 'tool_result' ? cleanToolResult(block) : undefined;
  }
  const { type, id, name, input, thinking, signature, data } = block;
  switch (type) {
    case 'thinking':
      // The API refuses thinking without its signature, and wants signed thinking back unchanged, even when its text is empty.
      if (typeof thinking !== 'string' || typeof signature !== 'string' || signature === '') return undefined;
      return { type, thinking, signature };
    case 'redacted_thinking':
      return typeof data === 'string' && data !== '' ? { type, data } : undefined;
    case 'tool_use':
      if (typeof id !== 'string' || typeof name !== 'string' || !isObject(input)) return undefined;
      return { type, id: toolUseId(id), name: toolName(name), input };
    default:
      return undefined;
  }
}

/** Versions up to 0.2.0 stored the ids of gateways. The same id becomes the same again, for a call and for its result. */
function toolUseId(id: string): string {
  return TOOL_USE_ID.test(id) ? id : `toolu_${createHash('sha256').update(id).digest('hex').slice(0, 24)}`;
}

function cleanText(block: Json): TextBlockParam | undefined {
  const { text } = block;
  return typeof text === 'string' && text.trim() !== '' ? { type: 'text', text } : undefined;
}

/** The name of a tool that may be gone by now, in characters that the API takes. */
export function toolName(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, MAX_TOOL_NAME) || '_';
}

function cleanImage(block: Json): ImageBlockParam | TextBlockParam | undefined {
  const source = block['source'];
  if (!isObject(source)) return undefined;
  if (source['type'] === 'url' && typeof source['url'] === 'string') {
    return { type: 'image', source: { type: 'url', url: source['url'] } };
  }
  const { data } = source;
  if (source['type'] !== 'base64' || typeof data !== 'string' || data === '') return undefined;
  let image = images.get(block);
  if (!image) {
    image = judged(data);
    images.set(block, image);
  }
  return image;
}

/** The type comes from the bytes, as the API reads it. An image that it does not take becomes a text, since the model should know of it. */
function judged(base64: string): ImageBlockParam | TextBlockParam {
  const verdict = judgeImage(base64);
  if (!verdict.ok) return { type: 'text', text: `[An image was left out: it ${verdict.why}.]` };
  const image: ImageBlockParam = {
    type: 'image',
    source: { type: 'base64', media_type: verdict.facts.type, data: base64 },
  };
  facts.set(image, verdict.facts);
  return image;
}

function cleanToolResult(block: Json): ToolResultBlockParam | undefined {
  const { tool_use_id: id, content, is_error: isError } = block;
  if (typeof id !== 'string') return undefined;
  const parts = typeof content === 'string' ? [{ type: 'text', text: content }] : Array.isArray(content) ? content : [];
  const cleaned = parts.flatMap((part: unknown): (ImageBlockParam | TextBlockParam)[] => {
    if (!isObject(part)) return [];
    const clean = part['type'] === 'text' ? cleanText(part) : part['type'] === 'image' ? cleanImage(part) : undefined;
    if (clean === undefined) return [];
    return isError === true && clean.type === 'image' ? [IMAGE_OF_FAILURE] : [clean];
  });
  return {
    type: 'tool_result',
    tool_use_id: toolUseId(id),
    content: cleaned.length > 0 ? cleaned : [{ type: 'text', text: '(no output)' }],
    ...(isError === true ? { is_error: true } : {}),
  };
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
