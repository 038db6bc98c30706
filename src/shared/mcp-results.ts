/**
 * Reads the results of MCP servers that do not quite follow the protocol, so that the SDK, which checks a result as a whole,
 * does not refuse all of it for one part. Pure; agent threads and docker thread.
 */
import { isSpecType } from '@modelcontextprotocol/client';
import { isRecord, withoutNulls, type Loose } from './loose.js';
import { looksLikeBlock, readContent, readResourceContents, textBlock } from './mcp-content.js';
import { isList, readList } from './mcp-lists.js';

/** A request of ours that waits for its answer. */
export interface AskedRequest {
  method: string;
  /** Sent in the modern protocol, in which a result states its type. */
  isModern: boolean;
  /** Of `resources/read`. */
  uri: string;
}

/** Their results carry nothing. */
const EMPTY = new Set(['ping', 'logging/setLevel', 'resources/subscribe', 'resources/unsubscribe']);
/** Results that the modern protocol lets be kept for a while: it wants both fields. */
const CACHED = /^(tools|prompts|resources|resources\/templates)\/list$|^resources\/read$|^server\/discover$/;
/** Keys of results that are no answer yet; these pass unread. */
const UNFINISHED = ['task', 'inputRequests', 'requestState'];
/** For a server that names no revision: HTTP's rule for a client that names none. */
const UNNAMED_VERSION = '2025-03-26';
const MAX_COMPLETIONS = 100;

/** A text says why the result cannot be read. */
export function readResult(asked: AskedRequest, given: unknown): Loose | string {
  if (isRecord(given) && isUnfinished(given)) return given;
  const read = readers(asked)(given);
  if (typeof read === 'string') return read;
  const { _meta, ...rest } = read;
  return {
    ...rest,
    ...(isRecord(_meta) ? { _meta: readMeta(_meta) } : {}),
    ...(asked.isModern ? modernFields(asked.method, read) : {}),
  };
}

function readers({ method, isModern, uri }: AskedRequest): (given: unknown) => Loose | string {
  if (EMPTY.has(method)) return () => ({});
  if (isList(method)) return (given) => readList(method, given, isModern);
  switch (method) {
    case 'tools/call':
      return (given) => readToolResult(given, isModern);
    case 'resources/read':
      return (given) => readContents(given, uri);
    case 'prompts/get':
      return readMessages;
    case 'initialize':
      return readHandshake;
    case 'server/discover':
      return (given) => (isRecord(given) ? { ...given, capabilities: readCapabilities(given['capabilities']) } : NONE);
    case 'completion/complete':
      return readCompletion;
    default:
      return (given) => (isRecord(given) ? given : NONE);
  }
}

const NONE = 'it is no object';

function isUnfinished(result: Loose): boolean {
  const { resultType } = result;
  if (typeof resultType === 'string' && resultType !== 'complete') return true;
  return UNFINISHED.some((key) => key in result) && result['content'] === undefined;
}

/** Whatever a tool has answered, the model gets to read it. */
function readToolResult(given: unknown, isModern: boolean): Loose {
  if (!isRecord(given)) {
    const isContent = Array.isArray(given) && given.length > 0 && given.every(looksLikeBlock);
    return { content: isContent || typeof given === 'string' ? readContent(given) : readData(given) };
  }
  const { content, structuredContent, isError, toolResult, ...rest } = withoutNulls(given);
  const failed = isError === undefined ? {} : { isError: isError === true || isError === 'true' || isError === 1 };
  if (looksLikeBlock(given)) return { content: readContent([given]) };
  if (content === undefined && structuredContent === undefined) {
    const { _meta, resultType, ...fields } = rest;
    const data = toolResult ?? (Object.keys(fields).length > 0 ? fields : undefined);
    const told = typeof data === 'string' ? [textBlock(data)] : readData(data);
    return withoutNulls({ content: told, ...failed, _meta, resultType });
  }
  const blocks = readContent(content);
  const isTold = isRecord(structuredContent) || blocks.some(({ type }) => type === 'text');
  const all = isTold ? blocks : [...blocks, ...readData(structuredContent)];
  // The older protocol has objects alone there.
  const isKept = isRecord(structuredContent) || (isModern && structuredContent !== undefined);
  return { ...rest, content: all, ...(isKept ? { structuredContent } : {}), ...failed };
}

function readData(data: unknown): Loose[] {
  return data === undefined || data === null ? [] : [textBlock(JSON.stringify(data))];
}

function readContents(given: unknown, uri: string): Loose | string {
  if (typeof given === 'string' || Array.isArray(given)) return readContents({ contents: given }, uri);
  if (!isRecord(given)) return NONE;
  const isOne = 'text' in given || 'blob' in given;
  const { contents = isOne ? given : [] } = withoutNulls(given);
  const entries = [contents].flat().map((entry) => readResourceContents(entry, uri));
  return isOne && !('contents' in given) ? { contents: entries } : { ...withoutNulls(given), contents: entries };
}

function readMessages(given: unknown): Loose | string {
  if (typeof given === 'string') return readMessages({ messages: [given] });
  if (Array.isArray(given)) return readMessages({ messages: given });
  if (!isRecord(given)) return NONE;
  const { messages = [], description, ...rest } = withoutNulls(given);
  const read = [messages].flat().flatMap((message: unknown): Loose[] => {
    const { role, content } = isRecord(message) ? message : { role: 'user', content: message };
    return readContent(content).map((block) => ({ role: role === 'assistant' ? role : 'user', content: block }));
  });
  return { ...rest, messages: read, ...(typeof description === 'string' ? { description } : {}) };
}

function readHandshake(given: unknown): Loose | string {
  if (!isRecord(given)) return NONE;
  const { protocolVersion, serverInfo, instructions, ...rest } = withoutNulls(given);
  return {
    ...rest,
    protocolVersion: typeof protocolVersion === 'string' ? protocolVersion : UNNAMED_VERSION,
    capabilities: readCapabilities(given['capabilities']),
    serverInfo: readInfo(serverInfo),
    ...(typeof instructions === 'string' ? { instructions } : {}),
  };
}

function readInfo(given: unknown): Loose {
  const { name, version, ...rest } = isRecord(given) ? withoutNulls(given) : {};
  const info = {
    ...rest,
    name: typeof name === 'string' ? name : 'unknown',
    version: typeof version === 'number' ? String(version) : typeof version === 'string' ? version : '',
  };
  return isSpecType.Implementation(info) ? info : { name: info.name, version: info.version };
}

/** `true` and `[]` are meant as `{}`. */
function readCapabilities(given: unknown): Loose {
  if (!isRecord(given)) return {};
  const read = Object.entries(given).flatMap(([name, value]): [string, Loose][] => {
    if (value === null || value === undefined || value === false) return [];
    if (!isRecord(value)) return [[name, {}]];
    const flags = Object.entries(withoutNulls(value)).filter(
      ([key, flag]) => !FLAGS.has(key) || typeof flag === 'boolean',
    );
    return [[name, Object.fromEntries(flags)]];
  });
  const capabilities = Object.fromEntries(read);
  if (isSpecType.ServerCapabilities(capabilities)) return capabilities;
  const known = read.filter(([name]) => KNOWN.has(name)).map(([name, value]) => [name, flagsOf(value)]);
  return Object.fromEntries(known);
}

const FLAGS = new Set(['listChanged', 'subscribe']);
const KNOWN = new Set(['tools', 'prompts', 'resources', 'logging', 'completions']);

function flagsOf(value: Loose): Loose {
  return Object.fromEntries(Object.entries(value).filter(([key]) => FLAGS.has(key)));
}

function readCompletion(given: unknown): Loose | string {
  const completion = isRecord(given) ? (given['completion'] ?? given) : { values: given };
  if (!isRecord(completion)) return NONE;
  const { values, total, hasMore } = completion;
  const list = Array.isArray(values) ? values.filter((value) => typeof value === 'string') : [];
  const more = {
    total: Number.isInteger(total) ? total : undefined,
    hasMore: typeof hasMore === 'boolean' ? hasMore : list.length > MAX_COMPLETIONS || undefined,
  };
  return {
    ...(isRecord(given) && 'completion' in given ? withoutNulls(given) : {}),
    completion: { values: list.slice(0, MAX_COMPLETIONS), ...withoutNulls(more) },
  };
}

/** What the SDK reads of it is dropped where it is not as it should be. */
function readMeta(given: Loose): Loose {
  const { progressToken, ...meta } = given;
  if (!isRecord(meta[RELATED_TASK])) delete meta[RELATED_TASK];
  return typeof progressToken === 'string' || Number.isInteger(progressToken) ? { ...meta, progressToken } : meta;
}

const RELATED_TASK = 'io.modelcontextprotocol/related-task';

/** A result without a type is complete (SEP-2322), and one without a time is kept for no time. */
function modernFields(method: string, { ttlMs, cacheScope, resultType }: Loose): Loose {
  const type = { resultType: typeof resultType === 'string' ? resultType : 'complete' };
  if (!CACHED.test(method)) return type;
  return {
    ...type,
    ttlMs: typeof ttlMs === 'number' && ttlMs >= 0 ? Math.floor(ttlMs) : 0,
    cacheScope: cacheScope === 'public' ? cacheScope : 'private',
  };
}
