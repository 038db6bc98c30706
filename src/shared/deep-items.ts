/** A list with items of too many levels: each costs itself, and the others stay. Pure; agent threads and docker thread. */
import { isRecord, type Loose } from './loose.js';

/** In place of an item, beside its names. A symbol: no server can send one. */
export const TOO_DEEP = Symbol('the item has too many levels');

const LIST_KEYS = ['tools', 'prompts', 'resources', 'resourceTemplates'];
const NAMES = ['name', 'uri', 'uriTemplate'];

/** The message without what is too deep in its lists. Undefined: there is more of it elsewhere. */
export function withoutDeepItems(message: unknown, levels: number): unknown {
  if (Array.isArray(message)) {
    const all = message.map((each: unknown) => withoutDeepItems(each, levels - 1));
    return all.includes(undefined) ? undefined : all;
  }
  const result = isRecord(message) ? message['result'] : undefined;
  if (!isRecord(message) || typeof result !== 'object') return isDeep(message, levels) ? undefined : message;
  const kept = { ...message, result: Array.isArray(result) ? trimmed(result, levels) : trimmedLists(result, levels) };
  return isDeep(kept, levels) ? undefined : kept;
}

function trimmedLists(result: object | null, levels: number): unknown {
  if (!isRecord(result)) return result;
  const lists = LIST_KEYS.map((key) => [key, result[key]] as const).filter(([, list]) => Array.isArray(list));
  return { ...result, ...Object.fromEntries(lists.map(([key, list]) => [key, trimmed(list as unknown[], levels)])) };
}

function trimmed(list: readonly unknown[], levels: number): unknown[] {
  // The message, its result and the list are levels, too.
  return list.map((item) => (isRecord(item) && isDeep(item, levels - 3) ? namesOf(item) : item));
}

function namesOf(item: Loose): Loose {
  const names = NAMES.filter((name) => typeof item[name] === 'string').map((name) => [name, item[name]]);
  return { ...(Object.fromEntries(names) as Loose), [TOO_DEEP]: true };
}

/** Without calling itself, as the depth is the server's choice. */
function isDeep(value: unknown, levels: number): boolean {
  const open: [value: unknown, depth: number][] = [[value, 1]];
  for (let next = open.pop(); next; next = open.pop()) {
    const [each, depth] = next;
    if (typeof each !== 'object' || each === null) continue;
    if (depth > levels) return true;
    for (const part of Object.values(each)) open.push([part, depth + 1]);
  }
  return false;
}
