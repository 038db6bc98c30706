/**
 * Rewrites any JSON schema so that it fits the 2020-12 meta-schema: the model's API refuses a whole request for one schema that
 * does not. Forms of older drafts and of OpenAPI are converted; a keyword whose value nobody can read is left out, which only
 * widens the schema. The check of the arguments still uses the server's own. Pure; agent threads.
 */
import { isSafePattern } from './safe-pattern.js';

type Schema = Record<string, unknown>;
type Read = (value: unknown, depth: number) => unknown;

const MAX_DEPTH = 32;
const TYPES = new Set(['string', 'number', 'integer', 'boolean', 'array', 'object', 'null']);
/** Spellings of other type systems that servers use. */
const TYPE_ALIASES: Record<string, string> = {
  str: 'string',
  text: 'string',
  int: 'integer',
  long: 'integer',
  float: 'number',
  double: 'number',
  decimal: 'number',
  bool: 'boolean',
  list: 'array',
  tuple: 'array',
  dict: 'object',
  map: 'object',
  none: 'null',
};

/** Each keyword with what it takes; undefined leaves it out. */
const KEYWORDS: Record<string, Read> = {
  ...all('title description $comment format contentEncoding contentMediaType $ref $dynamicRef', readString),
  ...all('deprecated readOnly writeOnly uniqueItems', readBoolean),
  ...all('minimum maximum exclusiveMinimum exclusiveMaximum', readNumber),
  ...all('minLength maxLength minItems maxItems minContains maxContains minProperties maxProperties', readCount),
  ...all('contains propertyNames not if then else additionalProperties', readSchema),
  ...all('unevaluatedItems unevaluatedProperties contentSchema items', readSchema),
  ...all('allOf anyOf oneOf prefixItems', readSchemas),
  ...all('properties $defs definitions dependentSchemas', readNamed),
  patternProperties: (value, depth) => readNamed(value, depth, isSafePattern),
  multipleOf: (value) => positive(readNumber(value)),
  pattern: (value) => (typeof value === 'string' && isSafePattern(value) ? value : undefined),
  enum: readEnum,
  const: (value) => value,
  default: (value) => value,
  examples: (value) => (Array.isArray(value) ? value : undefined),
  type: readType,
  required: readNames,
  dependentRequired: readDependentNames,
};
/** They would make the schema one of another draft, or give its references another base. */
const DROPPED = new Set([
  ...'$schema $id id $anchor $dynamicAnchor $recursiveRef $recursiveAnchor $vocabulary'.split(' '),
  ...'additionalItems dependencies extends divisibleBy nullable'.split(' '), // converted
]);

/** A new object schema; the given one stays unchanged. */
export function to2020(schema: unknown): Schema {
  const converted = isObject(schema) ? convert(schema, 0) : {};
  return { ...converted, type: 'object' };
}

function convert(given: Schema, depth: number): Schema {
  if (depth > MAX_DEPTH) return {};
  const clean: Schema = {};
  for (const [key, value] of Object.entries(modernized(given))) {
    if (key === '__proto__' || DROPPED.has(key)) continue;
    const read = Object.hasOwn(KEYWORDS, key) ? KEYWORDS[key] : keepScalar;
    const kept = read?.(value, depth);
    if (kept !== undefined) clean[key] = kept;
  }
  return clean;
}

/** The forms of older drafts in the words of 2020-12. */
function modernized(given: Schema): Schema {
  const schema = { ...given };
  for (const [exclusive, bound] of [
    ['exclusiveMinimum', 'minimum'],
    ['exclusiveMaximum', 'maximum'],
  ] as const) {
    if (schema[exclusive] !== true || readNumber(schema[bound]) === undefined) continue;
    schema[exclusive] = schema[bound];
    delete schema[bound];
  }
  if (Array.isArray(schema['items'])) {
    schema['prefixItems'] ??= schema['items'];
    if (isSchema(schema['additionalItems'])) schema['items'] = schema['additionalItems'];
    else delete schema['items'];
  }
  if (isObject(schema['dependencies'])) splitDependencies(schema, schema['dependencies']);
  if (schema['extends'] !== undefined) schema['allOf'] = [schema['allOf'], schema['extends']].flat();
  if (schema['divisibleBy'] !== undefined) schema['multipleOf'] ??= schema['divisibleBy'];
  if (schema['nullable'] === true && typeof schema['type'] === 'string') schema['type'] = [schema['type'], 'null'];
  const demanded = demandedBySelf(schema['properties']);
  if (demanded.length > 0) schema['required'] = [...(readNames(schema['required']) ?? []), ...demanded];
  liftSchemaTypes(schema);
  return schema;
}

function splitDependencies(schema: Schema, dependencies: Schema): void {
  const entries = Object.entries(dependencies);
  const names = entries.filter(([, value]) => Array.isArray(value) || typeof value === 'string');
  const schemas = entries.filter(([, value]) => isSchema(value));
  const asLists = names.map(([key, value]): [string, unknown] => [key, [value].flat()]);
  if (names.length > 0) schema['dependentRequired'] ??= Object.fromEntries(asLists);
  if (schemas.length > 0) schema['dependentSchemas'] ??= Object.fromEntries(schemas);
}

/** Draft 3 says at the property that it is required. */
function demandedBySelf(properties: unknown): string[] {
  if (!isObject(properties)) return [];
  return Object.entries(properties).flatMap(([name, value]) =>
    isObject(value) && (value['required'] === true || value['required'] === 'true') ? [name] : [],
  );
}

/** Draft 3 lets `type` hold schemas, which are alternatives. */
function liftSchemaTypes(schema: Schema): void {
  const { type } = schema;
  if (isObject(type)) schema['anyOf'] ??= [type];
  else if (Array.isArray(type) && type.some(isObject)) {
    schema['anyOf'] ??= type.map((item: unknown) => (isObject(item) ? item : { type: item }));
    delete schema['type'];
  }
}

/** A type that is not known leaves no type at all: `["string", "any"]` means any. */
function readType(value: unknown): unknown {
  if (typeof value === 'string') return knownType(value);
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const types = value.map((item) => (item === null ? 'null' : typeof item === 'string' ? knownType(item) : undefined));
  return types.includes(undefined) ? undefined : [...new Set(types)];
}

function knownType(text: string): string | undefined {
  if (TYPES.has(text)) return text;
  const lower = text.toLowerCase();
  if (TYPES.has(lower)) return lower;
  return Object.hasOwn(TYPE_ALIASES, lower) ? TYPE_ALIASES[lower] : undefined;
}

function readEnum(value: unknown): unknown {
  if (!Array.isArray(value)) return undefined;
  const byJson = new Map(value.map((item: unknown) => [JSON.stringify(item), item]));
  return byJson.size > 0 ? [...byJson.values()] : undefined;
}

function readNames(value: unknown): string[] | undefined {
  if (typeof value === 'string') return value === 'true' || value === 'false' ? undefined : [value];
  if (!Array.isArray(value)) return undefined;
  return [...new Set(value.filter((item) => typeof item === 'string'))];
}

function readDependentNames(value: unknown): unknown {
  if (!isObject(value)) return undefined;
  return fromEntries(Object.entries(value).map(([key, names]) => [key, readNames(names) ?? []]));
}

function readSchema(value: unknown, depth: number): unknown {
  if (typeof value === 'boolean') return value;
  return isObject(value) ? convert(value, depth + 1) : undefined;
}

function readSchemas(value: unknown, depth: number): unknown {
  const list = Array.isArray(value) ? value : isObject(value) ? [value] : [];
  const schemas = list.map((item) => readSchema(item, depth)).filter((item) => item !== undefined);
  return schemas.length > 0 ? schemas : undefined;
}

/** An empty array is how PHP writes an empty object. A part that is no schema allows anything. */
function readNamed(value: unknown, depth: number, takesName: (name: string) => boolean = () => true): unknown {
  if (Array.isArray(value) && value.length === 0) return {};
  if (!isObject(value)) return undefined;
  const entries = Object.entries(value).filter(([name]) => name !== '__proto__' && takesName(name));
  return fromEntries(entries.map(([name, inner]) => [name, readSchema(inner, depth) ?? {}]));
}

function readString(value: unknown): unknown {
  return typeof value === 'string' ? value : undefined;
}

function readBoolean(value: unknown): unknown {
  return typeof value === 'boolean' ? value : undefined;
}

function readNumber(value: unknown): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}

function readCount(value: unknown): unknown {
  const number = readNumber(value);
  return number !== undefined && Number.isInteger(number) && number >= 0 ? number : undefined;
}

function positive(number: number | undefined): number | undefined {
  return number !== undefined && number > 0 ? number : undefined;
}

/** A keyword that no draft knows says something to the model at most in a word. */
function keepScalar(value: unknown): unknown {
  return value === null || typeof value === 'object' ? undefined : value;
}

function all(keywords: string, read: Read): Record<string, Read> {
  return Object.fromEntries(keywords.split(' ').map((keyword) => [keyword, read]));
}

function fromEntries(entries: [string, unknown][]): Schema {
  return Object.fromEntries(entries);
}

function isSchema(value: unknown): boolean {
  return typeof value === 'boolean' || isObject(value);
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
