/**
 * Reads the lists of MCP servers that do not quite follow the protocol: an entry that nobody can read is left out, and the
 * others stay. Pure; agent threads and docker thread.
 */
import { isSpecType } from '@modelcontextprotocol/client';
import { cutText } from './cut-text.js';
import { TOO_DEEP } from './deep-items.js';
import { isRecord, withoutNulls, type Loose } from './loose.js';

/** In a list's `_meta`: what was left out of it and why, for people. A server's own is dropped. */
export const LEFT_OUT = 'fairlead/leftOut';

const MAX_TOLD = 20;
const MAX_NAME = 100;

type ReadItem = (item: Loose, isModern: boolean) => Loose | string;

/** Method → the result's key for the items, and how one is read. A text says why an item cannot be. */
const LISTS: Readonly<Record<string, { key: string; read: ReadItem }>> = {
  'tools/list': { key: 'tools', read: readTool },
  'prompts/list': { key: 'prompts', read: readPrompt },
  'resources/list': { key: 'resources', read: (item) => readResource(item, 'uri') },
  'resources/templates/list': { key: 'resourceTemplates', read: (item) => readResource(item, 'uriTemplate') },
};

export function isList(method: string): boolean {
  return Object.hasOwn(LISTS, method);
}

/** A text says why the whole list cannot be read. */
export function readList(method: string, result: unknown, isModern: boolean): Loose | string {
  const { key, read } = LISTS[method]!;
  const given = Array.isArray(result) ? { [key]: result } : result;
  if (!isRecord(given)) return 'it is no list';
  // Some languages write an empty list as null, or leave it out.
  const items = given[key] ?? [];
  if (!Array.isArray(items)) return `its ${key} are no list`;
  const readItem = (item: Loose): Loose | string =>
    TOO_DEEP in item ? 'it has too many levels' : read(withoutNulls(item), isModern);
  const leftOut: string[] = [];
  const kept = items.flatMap((item: unknown, index): Loose[] => {
    const done = isRecord(item) ? readItem(item) : 'it is no object';
    if (typeof done !== 'string') return [done];
    leftOut.push(`${nameOf(item, index)}: ${done}`);
    return [];
  });
  return { ...paged(given), [key]: kept, ...(leftOut.length > 0 ? { _meta: metaOf(given, leftOut) } : {}) };
}

function readTool(given: Loose, isModern: boolean): Loose | string {
  if (typeof given['name'] !== 'string') return 'it has no name';
  const tool = withoutNulls({
    ...described(given),
    inputSchema: readSchema(given['inputSchema']) ?? { type: 'object' },
    outputSchema: readOutputSchema(given['outputSchema'], isModern),
    annotations: readHints(given['annotations']),
    execution: isRecord(given['execution']) ? withoutNulls(given['execution']) : undefined,
  });
  if (isSpecType.Tool(tool)) return tool;
  const bare = { ...tool };
  delete bare['execution'];
  delete bare['outputSchema'];
  return isSpecType.Tool(bare) ? bare : 'it does not follow MCP';
}

/** Arguments are always an object, so this is what a schema without a type, or with another one, is read as. */
function readSchema(given: unknown): Loose | undefined {
  if (!isRecord(given)) return undefined;
  // Objects never fit it: it would refuse every call.
  if (!takesObjects(given)) return { type: 'object' };
  const schema: Loose = { ...given, type: 'object' };
  if (typeof schema['$schema'] !== 'string') delete schema['$schema'];
  if ('properties' in schema && !isRecord(schema['properties'])) delete schema['properties']; // [], where {} is meant
  if ('required' in schema) {
    const names = [schema['required']].flat().filter((name) => typeof name === 'string');
    if (names.length > 0) schema['required'] = names;
    else delete schema['required'];
  }
  return schema;
}

/** The newer protocol takes any schema there; in the older one a result is an object. */
function readOutputSchema(given: unknown, isModern: boolean): Loose | undefined {
  if (!isRecord(given)) return undefined;
  if (takesObjects(given)) return readSchema(given);
  return isModern ? given : undefined;
}

function takesObjects({ type }: Loose): boolean {
  return type === undefined || type === null || [type].flat().includes('object');
}

function readHints(given: unknown): Loose | undefined {
  if (!isRecord(given)) return undefined;
  const hints = Object.entries(given).filter(([key, value]) => {
    if (key === 'title') return typeof value === 'string';
    return key.endsWith('Hint') ? typeof value === 'boolean' : value !== null;
  });
  return Object.fromEntries(hints);
}

function readPrompt(given: Loose): Loose | string {
  if (typeof given['name'] !== 'string') return 'it has no name';
  const wanted = Array.isArray(given['arguments']) ? given['arguments'] : [];
  const args = wanted.flatMap((arg: unknown) => {
    if (typeof arg === 'string') return [{ name: arg }];
    if (!isRecord(arg) || typeof arg['name'] !== 'string') return [];
    const { name, description, required } = arg;
    return [
      withoutNulls({
        ...withoutNulls(arg),
        name,
        description: typeof description === 'string' ? description : undefined,
        required: typeof required === 'boolean' ? required : undefined,
      }),
    ];
  });
  const prompt = { ...described(given), ...('arguments' in given ? { arguments: args } : {}) };
  return isSpecType.Prompt(prompt) ? prompt : 'it does not follow MCP';
}

function readResource(given: Loose, address: 'uri' | 'uriTemplate'): Loose | string {
  const at = given[address];
  if (typeof at !== 'string') return `it has no ${address}`;
  const { mimeType, size } = given;
  const resource = withoutNulls({
    ...described(given),
    name: typeof given['name'] === 'string' ? given['name'] : at,
    mimeType: typeof mimeType === 'string' ? mimeType : undefined,
    size: typeof size === 'number' ? size : undefined,
    annotations: isSpecType.Annotations(given['annotations']) ? given['annotations'] : undefined,
  });
  const isGood = address === 'uri' ? isSpecType.Resource(resource) : isSpecType.ResourceTemplate(resource);
  return isGood ? resource : 'it does not follow MCP';
}

/** What all kinds of items have for people to read. */
function described(given: Loose): Loose {
  const { title, description, icons, _meta } = given;
  const drawn = Array.isArray(icons) ? icons.filter(isRecord).map(withoutNulls).filter(isSpecType.Icon) : [];
  return withoutNulls({
    ...given,
    title: typeof title === 'string' ? title : undefined,
    description:
      isRecord(description) || Array.isArray(description) ? JSON.stringify(description) : asText(description),
    icons: drawn.length > 0 ? drawn : undefined,
    _meta: isRecord(_meta) ? _meta : undefined,
  });
}

function asText(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? value : undefined;
}

/** Without a next page where the server writes that as null or as an empty text. */
function paged(given: Loose): Loose {
  const { nextCursor, _meta, ...rest } = given;
  const next = typeof nextCursor === 'number' ? String(nextCursor) : nextCursor;
  return withoutNulls({
    ...rest,
    nextCursor: typeof next === 'string' && next !== '' ? next : undefined,
    _meta: isRecord(_meta) ? metaOf({ _meta }, []) : undefined,
  });
}

function metaOf({ _meta }: Loose, leftOut: readonly string[]): Loose {
  const { [LEFT_OUT]: _forged, ...meta } = isRecord(_meta) ? _meta : {};
  const more = leftOut.length > MAX_TOLD ? [`and ${leftOut.length - MAX_TOLD} more`] : [];
  return leftOut.length > 0 ? { ...meta, [LEFT_OUT]: [...leftOut.slice(0, MAX_TOLD), ...more] } : meta;
}

function nameOf(item: unknown, index: number): string {
  const { name, uri, uriTemplate } = isRecord(item) ? item : {};
  const named = [name, uri, uriTemplate].find((each) => typeof each === 'string' && each !== '');
  return typeof named === 'string' ? cutText(named, MAX_NAME) : `number ${index + 1}`;
}
