/**
 * Reads content blocks of MCP servers that do not quite follow the protocol: what is meant is kept, and a block that nobody
 * can read becomes a text that says so. Pure; agent threads and docker thread.
 */
import { isSpecType } from '@modelcontextprotocol/client';
import { readImageFacts } from './image-facts.js';
import { isRecord, withoutNulls, type Loose } from './loose.js';

const DATA_URL = /^data:([^,]{0,200}),/i;
const WHOLE_BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const UNKNOWN_BYTES = 'application/octet-stream';
const MAX_ADDRESS = 2_000;
const ROLES: readonly unknown[] = ['user', 'assistant'];

/** Of a tool result, or of a prompt's message. */
export function readContent(content: unknown): Loose[] {
  if (content === undefined || content === null) return [];
  return Array.isArray(content) ? content.map(readBlock) : [readBlock(content)];
}

/** True for what can only be meant as a content block. */
export function looksLikeBlock(value: unknown): value is Loose {
  return isRecord(value) && typeof value['type'] === 'string' && BLOCKS.has(value['type']);
}

export function textBlock(text: string): Loose {
  return { type: 'text', text };
}

/** An entry of a `resources/read` result. `uri`: of the request, for an entry that names none. */
export function readResourceContents(given: unknown, uri: string): Loose {
  if (typeof given === 'string') return { uri, text: given };
  if (!isRecord(given)) return { uri, text: `[${told(given)} is no content of a resource]` };
  const entry = { uri, ...cleaned(given) };
  const { text, blob } = entry as Loose;
  if (text !== undefined) return withUri({ ...without(entry, 'blob'), text: textOf(text) }, uri);
  const bytes = readBase64(blob)?.data;
  if (bytes !== undefined) return withUri({ ...entry, blob: bytes }, uri);
  return withUri({ ...without(entry, 'blob'), text: `[${blobProblem(blob)}]` }, uri);
}

function readBlock(given: unknown): Loose {
  if (typeof given === 'string') return textBlock(given);
  if (!isRecord(given)) return textBlock(given === null ? '[an empty content block]' : told(given));
  const block = cleaned(given);
  const read = BLOCKS.get(typeof block['type'] === 'string' ? block['type'] : '');
  if (read) return checked(read(block), given);
  if (typeof block['text'] === 'string') return textBlock(block['text']);
  return textBlock(`[content of a type that MCP does not know: ${told(given)}]`);
}

const BLOCKS: ReadonlyMap<string, (block: Loose) => Loose> = new Map([
  ['text', readText],
  ['image', (block) => readMedia(block, 'image')],
  ['audio', (block) => readMedia(block, 'audio')],
  // As other APIs have them.
  ['image_url', (block) => readMedia({ ...block, type: 'image' }, 'image')],
  ['resource', readEmbedded],
  ['resource_link', readLink],
]);

function readText(block: Loose): Loose {
  const { text } = block;
  return text === undefined ? textBlock('[a text block without a text]') : { ...block, text: textOf(text) };
}

/** The data may stand in the block, in `source` or in an address, as a data URL, with line breaks or without padding. */
function readMedia(block: Loose, kind: 'image' | 'audio'): Loose {
  const source = isRecord(block['source']) ? block['source'] : {};
  const address = block['image_url'] ?? block['url'] ?? source['url'];
  const given = block['data'] ?? source['data'] ?? (isRecord(address) ? address['url'] : address);
  const type = [block['mimeType'], block['mime_type'], block['media_type'], source['media_type']].find(isFilled);
  const named = kind === 'image' ? 'an image' : 'a recording';
  if (!isFilled(given)) return textBlock(`[${named} without data]`);
  if (/^https?:/i.test(given)) return textBlock(`[${named} at ${given.slice(0, MAX_ADDRESS)}: it is not fetched]`);
  const read = readBase64(given);
  if (!read) return textBlock(`[${named} whose data is no base64]`);
  const mimeType = type ?? read.mimeType ?? readImageFacts(read.data)?.type ?? UNKNOWN_BYTES;
  const { annotations, _meta } = block;
  return withoutNulls({ type: kind, data: read.data, mimeType, annotations, _meta });
}

function readEmbedded(block: Loose): Loose {
  const { resource } = block;
  if (resource === undefined) return textBlock('[a resource without a content]');
  if (typeof resource === 'string') return textBlock(resource);
  const uri = isRecord(resource) && isFilled(resource['uri']) ? resource['uri'] : '';
  const contents = readResourceContents(resource, uri);
  // Without an address it is no resource, only its text.
  return uri === '' && typeof contents['text'] === 'string'
    ? textBlock(contents['text'])
    : { ...block, resource: contents };
}

function readLink(block: Loose): Loose {
  const { uri, name, title } = block;
  if (!isFilled(uri)) return textBlock('[a link to a resource without an address]');
  return { ...block, name: [name, title].find(isFilled) ?? uri };
}

/** Nothing gets past the SDK's own schema: it would refuse the whole result. */
function checked(block: Loose, given: Loose): Loose {
  if (isSpecType.ContentBlock(block)) return block;
  const bare = without(block, 'annotations', '_meta', 'icons', 'size', 'mimeType', 'title', 'description');
  const kept = 'mimeType' in block ? { ...bare, mimeType: String(block['mimeType']) } : bare;
  return isSpecType.ContentBlock(kept) ? kept : textBlock(`[a content block that does not follow MCP: ${told(given)}]`);
}

/** Without nulls, and with annotations as the protocol has them. */
function cleaned(given: Loose): Loose {
  const block = withoutNulls(given);
  if ('annotations' in block) block['annotations'] = readAnnotations(block['annotations']);
  if ('_meta' in block && !isRecord(block['_meta'])) delete block['_meta'];
  return withoutNulls(block);
}

function readAnnotations(given: unknown): Loose | undefined {
  if (!isRecord(given)) return undefined;
  const annotations = withoutNulls(given);
  const { audience, priority } = annotations;
  if (audience !== undefined) {
    const roles = [audience].flat().filter((role) => ROLES.includes(role));
    annotations['audience'] = roles.length > 0 ? roles : undefined;
  }
  if (priority !== undefined && !(typeof priority === 'number' && priority >= 0 && priority <= 1))
    annotations['priority'] = undefined;
  const read = withoutNulls(annotations);
  if (!isSpecType.Annotations(read)) delete read['lastModified'];
  return isSpecType.Annotations(read) ? read : undefined;
}

/** Undefined for what is no base64. */
function readBase64(given: unknown): { data: string; mimeType?: string } | undefined {
  if (typeof given !== 'string') return undefined;
  if (given.length % 4 === 0 && WHOLE_BASE64.test(given)) return { data: given }; // may have megabytes
  const head = DATA_URL.exec(given);
  if (head && !/;\s*base64\s*$/i.test(head[1]!)) return undefined;
  const raw = head ? given.slice(head[0].length) : given;
  const type = head?.[1]!.split(';')[0]!.trim();
  const plain = withoutPadding(raw.replaceAll(/\s+/g, '').replaceAll('-', '+').replaceAll('_', '/'));
  if (plain.length % 4 === 1 || !/^[A-Za-z0-9+/]*$/.test(plain)) return undefined;
  const data = plain.padEnd(Math.ceil(plain.length / 4) * 4, '=');
  return { data, ...(isFilled(type) ? { mimeType: type } : {}) };
}

/** A pattern would look at each of a long row of signs again and again, for minutes where a server sends megabytes of them. */
function withoutPadding(text: string): string {
  let end = text.length;
  while (text[end - 1] === '=') end--;
  return text.slice(0, end);
}

function blobProblem(blob: unknown): string {
  return blob === undefined ? 'a resource without a content' : 'a resource whose bytes are no base64';
}

function withUri(entry: Loose, uri: string): Loose {
  const named = isFilled(entry['uri']) ? entry : { ...entry, uri };
  const { mimeType } = named;
  return mimeType === undefined || typeof mimeType === 'string' ? named : without(named, 'mimeType');
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : told(value);
}

function told(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

function isFilled(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function without(block: Loose, ...keys: string[]): Loose {
  return Object.fromEntries(Object.entries(block).filter(([key]) => !keys.includes(key)));
}
