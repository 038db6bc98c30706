/** Converts a tool's schema to the form that the Messages API takes, and arguments back. Pure; agent threads. */
import { isObject } from '../../model/clean-blocks.js';
import { to2020 } from '../../schema/to-2020.js';

type Schema = Record<string, unknown>;

export interface ModelSchema {
  schema: Schema;
  /** Model's name → server's name, for renamed properties; absent when none is renamed. */
  properties?: ReadonlyMap<string, string>;
}

/** Limit of what one tool costs the model. Arguments are checked against the whole schema in any case. */
const MAX_SCHEMA_BYTES = 32_768;
const MAX_DEPTH = 32;
const MAX_PROPERTY_NAME = 64;
/** References that lead from one to the next. */
const MAX_REFERENCES = 50;
/** Descriptive keywords, dropped from a schema that is too long. */
const PROSE = new Set(['description', 'title', 'examples', 'example', 'default', '$comment', 'deprecated']);
/** Keywords whose keys are names chosen by the server. */
const NAMED = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']);
/** Keywords whose values are data, not schemas. */
const DATA = new Set(['enum', 'const', 'default', 'examples', 'required', 'dependentRequired']);
const BRANCHES = ['allOf', 'anyOf', 'oneOf'] as const;

/**
 * Returns an object schema that fits the 2020-12 meta-schema and whose top level lacks allOf, anyOf and oneOf, which the API
 * refuses there: their branches are merged. References to outside the schema, or to nothing, are dropped.
 */
export function toModelSchema(inputSchema: unknown): ModelSchema {
  const schema = to2020(inputSchema);
  const whole = shaped(schema, (same) => same);
  if (JSON.stringify(whole.schema).length <= MAX_SCHEMA_BYTES) return whole;
  const terse = shaped(schema, withoutProse);
  if (JSON.stringify(terse.schema).length <= MAX_SCHEMA_BYTES) return terse;
  return { schema: { type: 'object', additionalProperties: true } };
}

/** The model's arguments under the server's own property names. */
export function toServerArgs(args: Schema, properties: ModelSchema['properties']): Schema {
  if (!properties) return args;
  return Object.fromEntries(Object.entries(args).map(([key, value]) => [properties.get(key) ?? key, value]));
}

function shaped(inputSchema: Schema, change: (schema: Schema) => Schema): ModelSchema {
  const flat = flattened(change(cleanSchema(inputSchema, inputSchema, 0)));
  // Once more, for references into branches that are merged now.
  return renamed({ ...cleanSchema(flat, flat, 0), type: 'object' });
}

function cleanSchema(schema: Schema, root: Schema, depth: number): Schema {
  if (depth > MAX_DEPTH) return {};
  const clean: Schema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === '__proto__') continue;
    if (key === '$ref' || key === '$dynamicRef') {
      if (typeof value === 'string' && leadsToSchema(value, root)) clean[key] = value;
    } else if (DATA.has(key)) clean[key] = value;
    else if (NAMED.has(key) && isObject(value)) {
      clean[key] = Object.fromEntries(
        Object.entries(value).map(([name, inner]) => [name, cleanValue(inner, root, depth)]),
      );
    } else clean[key] = cleanValue(value, root, depth);
  }
  return clean;
}

function cleanValue(value: unknown, root: Schema, depth: number): unknown {
  if (Array.isArray(value)) return value.map((item) => (isObject(item) ? cleanSchema(item, root, depth + 1) : item));
  return isObject(value) ? cleanSchema(value, root, depth + 1) : value;
}

/** True for a JSON pointer to an existing part of the schema. One that leads back to itself says nothing, and has no end. */
function leadsToSchema(reference: string, root: Schema): boolean {
  const passed = new Set<unknown>();
  for (let ref: unknown = reference; typeof ref === 'string';) {
    const target = targetOf(ref, root);
    if (target === undefined) return passed.size > 0; // a later one is judged where it stands
    if (passed.has(target) || passed.size >= MAX_REFERENCES) return false;
    passed.add(target);
    ref = isObject(target) ? target['$ref'] : undefined;
  }
  return true;
}

/** Undefined for a reference to outside the schema, or to nothing. */
function targetOf(reference: string, root: Schema): unknown {
  if (!reference.startsWith('#')) return undefined;
  const pointer = decodeFragment(reference.slice(1));
  if (pointer === '') return root;
  if (pointer === undefined || !pointer.startsWith('/')) return undefined;
  let at: unknown = root;
  for (const part of pointer.slice(1).split('/')) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Schema)[key];
  }
  return at;
}

function decodeFragment(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

/**
 * Of `allOf` every branch's required properties are required; of anyOf and oneOf only those that all branches require. Takes time in
 * proportion to the schema: a server may send one with thousands of branches.
 */
function flattened(schema: Schema): Schema {
  const { allOf, anyOf, oneOf, ...rest } = schema;
  const layers = [isObject(rest['properties']) ? rest['properties'] : {}];
  const required = new Set(stringsOf(rest['required']));
  for (const key of BRANCHES) {
    const branches = { allOf, anyOf, oneOf }[key];
    if (!Array.isArray(branches)) continue;
    const objects = distinct(branches.filter(isObject)).map((branch) => flattened(resolved(branch, schema)));
    const demands = new Map<string, number>();
    for (const branch of objects) {
      layers.push(asProperties(branch['properties']));
      for (const name of new Set(stringsOf(branch['required']))) demands.set(name, (demands.get(name) ?? 0) + 1);
    }
    for (const [name, count] of demands) if (key === 'allOf' || count === objects.length) required.add(name);
  }
  const properties = merged(layers);
  return {
    ...rest,
    ...(properties.size > 0 ? { properties: Object.fromEntries(properties) } : {}),
    ...(required.size > 0 ? { required: [...required] } : {}),
  };
}

/** Of several branches that refer to the same part, one: each would be a copy of it. */
function distinct(branches: readonly Schema[]): Schema[] {
  const seen = new Set<string>();
  return branches.filter(({ $ref }) => {
    if (typeof $ref !== 'string') return true;
    const isNew = !seen.has($ref);
    seen.add($ref);
    return isNew;
  });
}

/** An earlier layer's property wins. */
function merged(layers: readonly Schema[]): Map<string, unknown> {
  const properties = new Map<string, unknown>();
  for (const layer of layers.toReversed()) {
    for (const [name, property] of Object.entries(layer)) properties.set(name, property);
  }
  return properties;
}

/** Resolves a branch that is a reference into the same schema. One step only, since definitions may refer to each other. */
function resolved(branch: Schema, root: Schema): Schema {
  const reference = branch['$ref'];
  if (typeof reference !== 'string') return branch;
  const match = /^#\/(\$defs|definitions)\/([^/~%]+)$/.exec(reference);
  const named = match && asProperties(root[match[1]!])[match[2]!];
  if (!isObject(named)) return branch;
  const { allOf: _allOf, anyOf: _anyOf, oneOf: _oneOf, ...own } = named;
  return own;
}

/** The API takes ^[a-zA-Z0-9_.-]{1,64}$ for the names of top-level properties. */
function renamed(schema: Schema): ModelSchema {
  const given = schema['properties'];
  if (!isObject(given)) return { schema };
  const names = Object.keys(given);
  const good = new Set(names.filter((name) => /^[a-zA-Z0-9_.-]{1,64}$/.test(name)));
  if (good.size === names.length) return { schema };
  const taken = new Set(good);
  const properties = new Map<string, string>();
  const modelNames = new Map<string, string>();
  /** Beginning of a name → the number that is tried next: without it the thousandth equal name would try a thousand. */
  const numbers = new Map<string, number>();
  for (const name of names) {
    if (good.has(name)) continue;
    const base = name.replaceAll(/[^a-zA-Z0-9_.-]/g, '_').slice(0, MAX_PROPERTY_NAME) || '_';
    const beginning = base.slice(0, MAX_PROPERTY_NAME - 6);
    let number = numbers.get(beginning) ?? 2;
    let free = base;
    for (; taken.has(free); number++) free = `${beginning}_${number}`;
    numbers.set(beginning, number);
    taken.add(free);
    modelNames.set(name, free);
    properties.set(free, name);
  }
  const nameOf = (name: string): string => modelNames.get(name) ?? name;
  const entries = Object.entries(given).map(([name, value]) => [nameOf(name), value]);
  const required = stringsOf(schema['required']).map(nameOf);
  return {
    schema: {
      ...schema,
      properties: Object.fromEntries(entries),
      ...(required.length > 0 ? { required } : {}),
    },
    properties,
  };
}

function withoutProse(schema: Schema): Schema {
  const strip = (value: unknown, isNames: boolean): unknown => {
    if (Array.isArray(value)) return value.map((item) => strip(item, false));
    if (!isObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => isNames || !PROSE.has(key))
        .map(([key, item]) => [key, DATA.has(key) && !isNames ? item : strip(item, NAMED.has(key) && !isNames)]),
    );
  };
  return strip(schema, false) as Schema;
}

function asProperties(value: unknown): Schema {
  return isObject(value) ? value : {};
}

function stringsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
