/** Judges the JSON Schemas that the configuration's rules hold for arguments. Main thread and command line. */
import type { Ajv2020 } from 'ajv/dist/2020.js';
import { createRequire } from 'node:module';

const MAX_CHARS = 65_536;
const DIALECTS = ['draft/2020-12', 'draft/2019-09', 'draft-07'];
const ENGINES: Readonly<Record<string, string>> = {
  'draft/2020-12': 'ajv/dist/2020.js',
  'draft/2019-09': 'ajv/dist/2019.js',
  'draft-07': 'ajv',
};
const FORMATS = new Set(
  (
    'date time date-time iso-time iso-date-time duration uri uri-reference uri-template url email hostname ipv4 ipv6 regex uuid ' +
    'json-pointer relative-json-pointer byte int32 int64 float double password binary'
  ).split(' '),
);

/**
 * Why these are no arguments' schema; undefined for a good one. Stricter than for schemas of servers: a misspelt keyword would let all
 * arguments pass.
 */
export function argsProblem(schema: Readonly<Record<string, unknown>>): string | undefined {
  const text = JSON.stringify(schema);
  if (text.length > MAX_CHARS) return `has ${text.length} characters; a rule's schema has at most ${MAX_CHARS}`;
  const { $schema: named = 'draft/2020-12' } = schema;
  const dialect = typeof named === 'string' ? named.replace(/^https?:\/\/json-schema\.org\/(.+)\/schema#?$/, '$1') : '';
  const engine = ENGINES[dialect];
  if (engine === undefined) return `has a $schema that is not known: ${DIALECTS.join(', ')} are`;
  const { type } = schema;
  if (type !== undefined && type !== 'object') return 'must be a schema of an object, since arguments are one';
  try {
    newEngine(engine).compile(schema);
    return undefined;
  } catch (error) {
    return `is not a JSON Schema: ${(error as Error).message.slice(0, 500)}`;
  }
}

/** What a rule with this schema lets pass beside what it seems to ask for. */
export function* argsWarnings(schema: Readonly<Record<string, unknown>>): Iterable<string> {
  const { properties, required } = schema;
  if (typeof properties !== 'object' || properties === null) return;
  const needed: readonly unknown[] = Array.isArray(required) ? required : [];
  for (const [name, part] of Object.entries(properties)) {
    if (!needed.includes(name))
      yield `also allows calls without ${JSON.stringify(name)}: add it to required if it must be there`;
    if (typeof part !== 'object' || part === null) continue;
    if (!['type', 'const', 'enum', '$ref', 'anyOf', 'oneOf', 'allOf'].some((key) => Object.hasOwn(part, key)))
      yield `also allows a ${JSON.stringify(name)} of other types than the one it is about: add its type`;
  }
}

/** Loaded only for a configuration with such a rule: it takes 50 ms and some megabytes. */
function newEngine(from: string): Ajv2020 {
  const require = createRequire(import.meta.url);
  const loaded = require(from) as { default: typeof Ajv2020 };
  const formats = Object.fromEntries([...FORMATS].map((name) => [name, true as const]));
  // The types of several values, tuples and properties that are required elsewhere are matters of taste.
  return new loaded.default({
    strictSchema: true,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    validateSchema: true,
    allErrors: false,
    logger: false,
    formats,
  });
}
