/** Whether a result's content says what its structured content does: the model then needs it once. Pure; agent threads. */
import type { ContentBlock } from '../../../../src/shared/protocol.js';

/**
 * MCP asks servers to repeat structured content as JSON text. Many do the reverse: `{"content": TEXT}` and `{"result": TEXT}`
 * hold the text that stands in the content, or the blocks themselves.
 */
export function isTold(content: readonly ContentBlock[], structured: Record<string, unknown>): boolean {
  if (content.some((block) => block.type === 'text' && isJsonOf(block.text, structured))) return true;
  const [only, ...others] = Object.values(structured);
  if (only === undefined || others.length > 0) return false;
  if (saysAll(content, only)) return true;
  return Array.isArray(only) && only.length === content.length && only.every((item, at) => says(content[at]!, item));
}

function saysAll(content: readonly ContentBlock[], value: unknown): boolean {
  if (content.some((block) => block.type === 'text' && says(block, value))) return true;
  const texts = content.flatMap((block) => (block.type === 'text' ? [block.text] : []));
  return texts.length > 1 && (texts.join('') === value || texts.join('\n') === value);
}

function says(block: ContentBlock, value: unknown): boolean {
  if (block.type === 'text' && (block.text === value || isJsonOf(block.text, value))) return true;
  return typeof value === 'object' && value !== null && JSON.stringify(block) === JSON.stringify(value);
}

function isJsonOf(text: string, value: unknown): boolean {
  // Most texts are no JSON, and some are long.
  if (typeof value === 'string' || !/^\s*[{["\d\-tfn]/.test(text)) return false;
  try {
    return JSON.stringify(JSON.parse(text)) === JSON.stringify(value);
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
