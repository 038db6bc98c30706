/** Reduces content blocks to what the Messages API accepts: known fields with valid values. Pure; agent threads. */
import type {
  ContentBlockParam,
  ImageBlockParam,
  TextBlockParam,
  ToolResultBlockParam,
} from '@anthropic-ai/sdk/resources/messages';
import type { TranscriptMessage } from '../store/store.js';

type Json = Record<string, unknown>;

const IMAGE_TYPES = ['image/jpeg', 'image/png', 'image/gif', 'image/webp'];
const TOOL_USE_ID = /^[a-zA-Z0-9_-]+$/;

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
      if (typeof id !== 'string' || !TOOL_USE_ID.test(id)) return undefined;
      if (typeof name !== 'string' || name === '' || !isObject(input)) return undefined;
      return { type, id, name, input };
    default:
      return undefined;
  }
}

function cleanText(block: Json): TextBlockParam | undefined {
  const { text } = block;
  return typeof text === 'string' && text.trim() !== '' ? { type: 'text', text } : undefined;
}

/** An image that the API does not take becomes a text that says so, since the model should know of it. */
function cleanImage(block: Json): ImageBlockParam | TextBlockParam | undefined {
  const source = block['source'];
  if (!isObject(source)) return undefined;
  if (source['type'] === 'url' && typeof source['url'] === 'string') {
    return { type: 'image', source: { type: 'url', url: source['url'] } };
  }
  const { media_type: mediaType, data } = source;
  if (source['type'] !== 'base64' || typeof data !== 'string' || data === '') return undefined;
  if (!isImageType(mediaType)) return { type: 'text', text: `[image of an unsupported type: ${String(mediaType)}]` };
  return { type: 'image', source: { type: 'base64', media_type: mediaType, data } };
}

function cleanToolResult(block: Json): ToolResultBlockParam | undefined {
  const { tool_use_id: id, content, is_error: isError } = block;
  if (typeof id !== 'string') return undefined;
  const parts = typeof content === 'string' ? [{ type: 'text', text: content }] : Array.isArray(content) ? content : [];
  const cleaned = parts.flatMap((part: unknown): (ImageBlockParam | TextBlockParam)[] => {
    if (!isObject(part)) return [];
    const clean = part['type'] === 'text' ? cleanText(part) : part['type'] === 'image' ? cleanImage(part) : undefined;
    // The API takes only text in an error result.
    return clean === undefined || (isError === true && clean.type === 'image') ? [] : [clean];
  });
  return {
    type: 'tool_result',
    tool_use_id: id,
    content: cleaned.length > 0 ? cleaned : [{ type: 'text', text: '(no output)' }],
    ...(isError === true ? { is_error: true } : {}),
  };
}

type ImageType = 'image/jpeg' | 'image/png' | 'image/gif' | 'image/webp';

function isImageType(value: unknown): value is ImageType {
  return IMAGE_TYPES.includes(String(value));
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
