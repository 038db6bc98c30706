/** A tool's result, for the client (whole, bounded) and for the model (in the form its API takes). Pure; agent threads. */
import type { ContentBlock } from '../../../src/protocol.js';

const MODEL_IMAGES = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp']);

/** More blocks than any tool has to say; each costs the client, the log and the model a place. */
const MAX_BLOCKS = 500;

/** MCP content with at most `maxBytes` of text and data in all; what is cut says `truncated` and keeps head and tail. */
export function boundContent(content: readonly ContentBlock[], maxBytes: number): ContentBlock[] {
  let left = maxBytes;
  const result: ContentBlock[] = [];
  for (const [index, block] of content.entries()) {
    if (index === MAX_BLOCKS) {
      result.push({ type: 'text', text: `[${content.length - MAX_BLOCKS} more blocks left out]`, truncated: true });
      break;
    }
    const size = sizeOf(block);
    if (size <= left) {
      result.push(block);
      left -= size;
    } else if (block.type === 'text') {
      result.push({ type: 'text', text: headAndTail(block.text, left), truncated: true });
      left = 0;
    } else {
      result.push({ type: 'text', text: `[${block.type} of ${size} bytes left out: over the limit]`, truncated: true });
    }
  }
  return result;
}

/** What a tool answered: its content, or, where it has only that, its structured content as JSON. */
export function contentOf(result: { content?: unknown; structuredContent?: unknown }): ContentBlock[] {
  const content = (result.content ?? []) as ContentBlock[];
  if (content.length > 0 || result.structuredContent === undefined) return content;
  return [{ type: 'text', text: JSON.stringify(result.structuredContent) }];
}

/** Content blocks of a Messages API tool_result. */
export function toModelContent(content: readonly ContentBlock[]): unknown[] {
  const blocks = content.map((block): unknown => {
    if (block.type === 'text') return { type: 'text', text: block.text };
    if (block.type === 'image' && MODEL_IMAGES.has(block.mimeType)) {
      return { type: 'image', source: { type: 'base64', media_type: block.mimeType, data: block.data } };
    }
    if (block.type === 'audio' || block.type === 'image') {
      return { type: 'text', text: `[${block.type} ${block.mimeType}, ${block.data.length} base64 characters]` };
    }
    return { type: 'text', text: JSON.stringify(block) };
  });
  const filled = blocks.filter((block) => (block as { text?: string }).text !== '');
  return filled.length > 0 ? filled : [{ type: 'text', text: '(no output)' }];
}

function sizeOf(block: ContentBlock): number {
  if (block.type === 'text') return Buffer.byteLength(block.text);
  if (block.type === 'image' || block.type === 'audio') return block.data.length;
  return Buffer.byteLength(JSON.stringify(block));
}

/** Cuts by characters, which is never more bytes than asked for once each is counted at its widest. */
function headAndTail(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  const half = Math.max(0, Math.floor(maxBytes / 2));
  const head = bytes
    .subarray(0, half)
    .toString()
    .replace(/\uFFFD$/, '');
  const tail = bytes
    .subarray(bytes.length - half)
    .toString()
    .replace(/^\uFFFD+/, '');
  return `${head}\n[… ${bytes.length - 2 * half} bytes cut …]\n${half > 0 ? tail : ''}`;
}
