import t from 'tap';
import { toModelSchema, toServerArgs } from '../../../../../workers/agent/mcp/catalogue/model-schema.js';

void t.test('a plain schema is passed on as it is', async (t) => {
  const schema = { type: 'object', properties: { a: { type: 'string', enum: ['$ref'] } }, required: ['a'] };
  t.same(toModelSchema(schema), { schema });
});

void t.test(
  'references stay inside the schema: those to elsewhere or to nowhere are left out, the rest of it stays',
  async (t) => {
    const { schema } = toModelSchema({
      type: 'object',
      properties: {
        inside: { $ref: '#/$defs/Inside' },
        remote: { $ref: 'https://example.org/schema.json', description: 'kept' },
        nowhere: { $ref: '#/$defs/Missing' },
        file: { items: [{ $ref: 'other.json#/a' }] },
        // A property of that name is no reference.
        $ref: { type: 'string' },
      },
      $defs: { Inside: { type: 'string' } },
    });
    t.same(schema, {
      type: 'object',
      properties: {
        inside: { $ref: '#/$defs/Inside' },
        remote: { description: 'kept' },
        nowhere: {},
        file: { prefixItems: [{}] },
        _ref: { type: 'string' },
      },
      $defs: { Inside: { type: 'string' } },
    });
  },
);

void t.test('combinations at the top level are merged: the API refuses them there', async (t) => {
  const { schema } = toModelSchema({
    anyOf: [
      { properties: { a: { type: 'string' }, both: { type: 'number' } }, required: ['a', 'both'] },
      { $ref: '#/$defs/B' },
    ],
    allOf: [{ properties: { c: { type: 'boolean' } }, required: ['c'] }],
    $defs: { B: { properties: { b: { type: 'string' }, both: { type: 'number' } }, required: ['b', 'both'] } },
  });
  for (const key of ['anyOf', 'allOf', 'oneOf']) t.notOk(key in schema, key);
  t.same(Object.keys(schema['properties'] as object).sort(), ['a', 'b', 'both', 'c']);
  t.same((schema['required'] as string[]).sort(), ['both', 'c']);
  t.equal(schema['type'], 'object');
});

void t.test('deeper combinations stay', async (t) => {
  const properties = { a: { oneOf: [{ type: 'string' }, { type: 'number' }] } };
  t.same(toModelSchema({ type: 'object', properties }).schema['properties'], properties);
});

void t.test('properties with names that the API refuses are renamed, and arguments are renamed back', async (t) => {
  const { schema, properties } = toModelSchema({
    type: 'object',
    properties: { $filter: { type: 'string' }, _filter: { type: 'string' }, 'user id': {}, ok: {} },
    required: ['$filter', 'ok'],
  });
  const names = Object.keys(schema['properties'] as object);
  for (const name of names) t.match(name, /^[a-zA-Z0-9_.-]{1,64}$/);
  t.equal(new Set(names).size, 4);
  const args = toServerArgs(Object.fromEntries(names.map((name) => [name, name])), properties);
  t.same(Object.keys(args).sort(), ['$filter', '_filter', 'ok', 'user id']);
  t.equal((schema['required'] as string[]).length, 2);
  t.same(toServerArgs({ a: 1 }, undefined), { a: 1 });
});

void t.test('a schema that is too long loses its prose, then itself', async (t) => {
  const property = { type: 'string', description: 'x'.repeat(1_000), default: 'y' };
  const wordy = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`p${index}`, property]));
  const terse = toModelSchema({ type: 'object', properties: { ...wordy, description: { type: 'number' } } }).schema;
  t.same((terse['properties'] as Record<string, unknown>)['p7'], { type: 'string' });
  t.same((terse['properties'] as Record<string, unknown>)['description'], { type: 'number' }, 'a name is no prose');
  const huge = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`property_${index}`, property]));
  t.same(toModelSchema({ type: 'object', properties: huge }).schema, { type: 'object', additionalProperties: true });
});

void t.test('a very deep schema does no harm', async (t) => {
  let schema: Record<string, unknown> = { type: 'string' };
  for (let depth = 0; depth < 2_000; depth++) schema = { type: 'object', properties: { a: schema } };
  t.equal(toModelSchema(schema).schema['type'], 'object');
});

void t.test('a schema that names __proto__ pollutes no prototype', async (t) => {
  const schema = JSON.parse(
    '{"type":"object","properties":{"__proto__":{"type":"string"}},"__proto__":{"x":1}}',
  ) as object;
  toModelSchema(schema);
  t.equal(({} as Record<string, unknown>)['x'], undefined);
});

void t.test('a reference into a branch that is merged is left out with the branch', async (t) => {
  const { schema } = toModelSchema({
    anyOf: [{ properties: { a: { type: 'string' } } }],
    properties: { b: { $ref: '#/anyOf/0/properties/a' } },
  });
  t.same(schema['properties'], { a: { type: 'string' }, b: {} });
});

void t.test('a schema of an older draft comes in the form of 2020-12', async (t) => {
  const { schema } = toModelSchema({
    properties: { n: { type: 'number', minimum: 0, exclusiveMinimum: true, required: true } },
  });
  t.same(schema, { type: 'object', properties: { n: { type: 'number', exclusiveMinimum: 0 } }, required: ['n'] });
});

const many = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));
const named = (names: string[]): object => Object.fromEntries(names.map((name) => [name, {}]));

void t.test('a schema of thousands of parts takes time in proportion to its size', async (t) => {
  const schemas: Record<string, Record<string, unknown>> = {
    'properties whose names become the same': {
      properties: named(many(4_000, (at) => String.fromCodePoint(0x4e00 + at))),
    },
    'properties of which every second is renamed': {
      properties: named(many(20_000, (at) => (at % 2 === 0 ? `a${at}` : `é${at}`))),
    },
    'branches with a property each': { anyOf: many(4_000, (at) => ({ properties: { [`a${at}`]: {} } })) },
    'branches that require much': {
      anyOf: many(2, (branch) => ({ required: many(15_000, (at) => `${branch} ${at}`) })),
    },
    'branches that refer to one large part': {
      anyOf: many(2_000, () => ({ $ref: '#/$defs/large' })),
      $defs: { large: { properties: named(many(5_000, (at) => `a${at}`)) } },
    },
  };
  for (const [what, schema] of Object.entries(schemas)) {
    const before = process.cpuUsage();
    toModelSchema(schema);
    const { user } = process.cpuUsage(before); // of the processor: a busy machine adds nothing to it
    t.ok(user < 1_000_000, `${what}: ${Math.round(user / 1_000)} ms`);
  }
});

void t.test('of two branches with the same property the first one counts, and the schema before both', async (t) => {
  const { schema } = toModelSchema({
    properties: { a: { title: 'own' } },
    anyOf: [
      { properties: { a: { title: 'first' }, b: { title: 'first' } } },
      { properties: { b: { title: 'second' } } },
    ],
  });
  t.same(schema['properties'], { a: { title: 'own' }, b: { title: 'first' } });
});

void t.test('a reference that leads back to itself is left out; one to a schema around it stays', async (t) => {
  t.same(toModelSchema({ $ref: '#' }).schema, { type: 'object' });
  const properties = { a: { $ref: '#/$defs/A' }, next: { $ref: '#' } };
  const $defs = { A: { $ref: '#/$defs/B' }, B: { $ref: '#/$defs/A' } };
  t.same(toModelSchema({ type: 'object', properties, $defs }).schema, {
    type: 'object',
    properties: { a: {}, next: { $ref: '#' } },
    $defs: { A: {}, B: {} },
  });
});
