/** A tool's result for the client, within limits, and for the model, in the form that its API takes. Pure; agent threads. */
import { judgeImage } from '../../../../src/shared/image-facts.js';
import type { ContentBlock } from '../../../../src/shared/protocol.js';
import { asShown } from '../../../../src/shared/terminal-screen.js';
import { boundContent, textBytes, type ContentLimits } from './bound-content.js';
import { isTold } from './is-told.js';

interface TextBlock {
  type: 'text';
  text: string;
}

export interface ToolOutput {
  content: ContentBlock[];
  /** Absent when there is none, or when it is over the limit, which `content` then says. */
  structuredContent?: Record<string, unknown>;
  /** The content says all of the structured content. */
  isTold?: boolean;
}

/**
 * Bounds a result. `problem` says why the structured content does not fit its schema. `isExact`: the tool reads, so its text is
 * somebody's data and no output of a program, of which a terminal would show less.
 */
export function outputOf(
  result: { content?: unknown; structuredContent?: unknown },
  { problem, isExact = false, ...limits }: ContentLimits & { problem?: string | undefined; isExact?: boolean },
): ToolOutput {
  const given = contentOf(result);
  const notes = problem === undefined ? [] : [outputNote(problem)];
  const content = boundContent(isExact ? given : given.map(shownBlock), limits);
  const { structuredContent } = result;
  if (!isRecord(structuredContent)) return { content: [...content, ...notes] };
  const size = Buffer.byteLength(JSON.stringify(structuredContent));
  const fits = size <= limits.maxBytes - textBytes(content);
  if (isTold(given, structuredContent)) {
    return fits ? { content: [...content, ...notes], structuredContent, isTold: true } : { content };
  }
  if (fits) return { content: [...content, ...notes], structuredContent };
  const leftOut = textBlock(`[structured content of ${size} bytes left out: over the limit. Ask for less at once]`);
  return { content: [...content, ...notes, leftOut] };
}

function shownBlock(block: ContentBlock): ContentBlock {
  if (block.type !== 'text') return block;
  const text = asShown(block.text);
  return text === block.text ? block : { ...block, text };
}

/** Warns the reader of a result that its structured content does not fit the output schema. */
export function outputNote(problem: string): TextBlock {
  return textBlock(`[The structured content does not fit the tool's output schema: ${problem}]`);
}

/** The result's content, or its structured content as JSON when there is no other. */
export function contentOf(result: { content?: unknown; structuredContent?: unknown }): ContentBlock[] {
  const content = (result.content ?? []) as ContentBlock[];
  if (content.length > 0 || result.structuredContent === undefined) return content;
  return [textBlock(JSON.stringify(result.structuredContent))];
}

/**
 * Content blocks of a Messages API tool_result. MCP asks servers to repeat structured content as text; where a server does
 * not, it is added.
 */
export function toModelContent({ content, structuredContent, isTold: told }: ToolOutput): unknown[] {
  const blocks = content.flatMap(toModelBlocks);
  const needsNone = structuredContent === undefined || told === true || isTold(content, structuredContent);
  if (!needsNone) blocks.push(textBlock(JSON.stringify(structuredContent)));
  // The API refuses text that is only white space.
  const filled = blocks.filter((block) => (block as { text?: string }).text?.trim() !== '');
  return filled.length > 0 ? filled : [textBlock('(no output)')];
}

function toModelBlocks(block: ContentBlock): unknown[] {
  switch (block.type) {
    case 'text':
      return [textBlock(block.text)];
    case 'image':
      return [imageOr(block, `[image ${block.mimeType}, ${block.data.length} base64 characters]`)];
    case 'audio':
      return [
        textBlock(`[audio ${block.mimeType}, ${block.data.length} base64 characters: it cannot be listened to here]`),
      ];
    case 'resource':
      return toModelResource(block['resource']);
    case 'resource_link':
      return [textBlock(linkText(block))];
    default:
      // A kind of a later protocol: the model reads its JSON.
      return [textBlock(JSON.stringify(block))];
  }
}

/** An embedded resource, or an entry of a `resources/read` result. */
export function toModelResource(resource: unknown): unknown[] {
  const { uri, mimeType, text, blob }: Record<string, unknown> = isRecord(resource) ? resource : {};
  const kind = typeof mimeType === 'string' ? mimeType : '';
  const named = `[resource ${String(uri)}${kind === '' ? '' : `, ${kind}`}]`;
  if (typeof text === 'string') return [textBlock(`${named}\n${text}`)];
  if (typeof blob !== 'string') return [textBlock(named)];
  const told = `${named.slice(0, -1)}, ${blob.length} base64 characters]`;
  return kind.startsWith('image/') ? [textBlock(named), imageOr({ data: blob }, told)] : [textBlock(told)];
}

/** Takes the type from the bytes, as the API does. An image that it would refuse is told in words. */
function imageOr({ data }: { data: string }, told: string): unknown {
  const verdict = judgeImage(data);
  return verdict.ok
    ? { type: 'image', source: { type: 'base64', media_type: verdict.facts.type, data } }
    : textBlock(`${told.slice(0, -1)}: it ${verdict.why}]`);
}

function linkText(link: Record<string, unknown>): string {
  const { uri, name, title, description, mimeType } = link;
  const facts = [title ?? name, mimeType, description].filter((fact) => typeof fact === 'string' && fact !== '');
  return `[link to a resource: ${String(uri)}${facts.length > 0 ? ` (${facts.join('; ')})` : ''}]`;
}

function textBlock(text: string): TextBlock {
  return { type: 'text', text };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
