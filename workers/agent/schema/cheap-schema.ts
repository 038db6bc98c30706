/** Which schemas may be checked on the agent thread: those whose cost is bounded by their size and the value's. Pure; agent threads. */

/** Most parts of a schema that is compiled here. */
const MAX_PARTS = 300;
/** Most parts of the schema times parts of the value: some hundred microseconds. */
const MAX_STEPS = 10_000;
const MAX_DEPTH = 16;
/** Characters of a string that cost as much as one part. */
const CHARS_A_PART = 64;

/** Keywords whose value is one schema, a list of them, or schemas by name. */
const ONE = new Set(['additionalProperties', 'items', 'not']);
const LISTS = new Set(['anyOf', 'oneOf', 'allOf', 'prefixItems']);
const NAMED = new Set(['properties']);
/** Keywords whose value is data that the value is compared with. */
const DATA = new Set(['enum', 'const', 'required', 'type']);
/** Keywords that cost the same for each value, or nothing. */
const FREE = new Set(
  (
    'minimum maximum exclusiveMinimum exclusiveMaximum multipleOf ' +
    'minLength maxLength minItems maxItems minProperties maxProperties ' +
    'title description default examples deprecated readOnly writeOnly enumNames $comment $schema'
  ).split(' '),
);

/**
 * How many parts the schema has; undefined when it has too many, or a keyword that is not known to be cheap: patterns and formats
 * (regular expressions), references (a small schema may be walked a million times), `uniqueItems` (each item with each).
 */
export function cheapParts(schema: unknown): number | undefined {
  let parts = 0;
  const isCheap = (part: unknown, depth: number): boolean => {
    if (++parts > MAX_PARTS || depth > MAX_DEPTH) return false;
    if (typeof part === 'boolean') return true;
    if (!isObject(part)) return false;
    return Object.entries(part).every(([key, value]) => {
      if (FREE.has(key) || key.startsWith('x-')) return true;
      if (DATA.has(key)) return (parts += partsOf(value, MAX_PARTS)) <= MAX_PARTS;
      if (ONE.has(key)) return isCheap(value, depth + 1);
      if (LISTS.has(key)) return Array.isArray(value) && value.every((item) => isCheap(item, depth + 1));
      return NAMED.has(key) && isObject(value) && Object.values(value).every((item) => isCheap(item, depth + 1));
    });
  };
  return isCheap(schema, 0) ? parts : undefined;
}

/** Whether a cheap schema of so many parts is checked against this value in a bounded time. */
export function isCheapFor(schemaParts: number, value: unknown): boolean {
  const most = Math.floor(MAX_STEPS / Math.max(1, schemaParts));
  return partsOf(value, most) <= most;
}

/** Counts until it is more than `most`; without recursion, since the value may be of any depth. */
function partsOf(value: unknown, most: number): number {
  let parts = 0;
  const open: unknown[] = [value];
  while (open.length > 0 && parts <= most) {
    const item = open.pop();
    parts += 1;
    if (typeof item === 'string') parts += Math.floor(item.length / CHARS_A_PART);
    if (typeof item !== 'object' || item === null) continue;
    for (const key in item) {
      open.push((item as Record<string, unknown>)[key]);
      if (open.length > most) return most + 1;
    }
  }
  return parts;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
