import * as fc from 'fast-check';
import t from 'tap';
import { to2020 } from '../../../../workers/agent/schema/to-2020.js';
import { checkSchema } from '../../../helpers/schema-rules.js';
import { anySchema } from './any-schema.js';

const problemsOf = (schema: Record<string, unknown>): string[] => {
  const problems: string[] = [];
  const { allOf: _allOf, anyOf: _anyOf, oneOf: _oneOf, ...rest } = schema;
  checkSchema(rest, 'schema', problems);
  return problems.filter((problem) => !problem.includes('Property keys'));
};

/** By what it shows: the server's form of one property, and what the model is given. */
const FORMS: Record<string, [given: unknown, made: unknown]> = {
  'an exclusive bound of draft 4': [
    { type: 'number', minimum: 0, exclusiveMinimum: true },
    { type: 'number', exclusiveMinimum: 0 },
  ],
  'an inclusive bound of draft 4': [{ maximum: 9, exclusiveMaximum: false }, { maximum: 9 }],
  'a tuple': [
    { type: 'array', items: [{ type: 'string' }, { type: 'number' }], additionalItems: false },
    { type: 'array', prefixItems: [{ type: 'string' }, { type: 'number' }], items: false },
  ],
  'an empty tuple': [{ items: [] }, {}],
  'a type that is any': [{ type: 'any', description: 'x' }, { description: 'x' }],
  'one type of several that is any': [{ type: ['string', 'any'] }, {}],
  'a type of Python': [{ type: 'int' }, { type: 'integer' }],
  'a type that is null': [{ type: null }, {}],
  'types with a null': [{ type: ['string', null] }, { type: ['string', 'null'] }],
  'nullable of OpenAPI': [{ type: 'string', nullable: true }, { type: ['string', 'null'] }],
  'alternatives of draft 3': [
    { type: ['string', { type: 'object' }] },
    { anyOf: [{ type: 'string' }, { type: 'object' }] },
  ],
  'an empty enum': [{ enum: [] }, {}],
  'an enum that repeats itself': [{ enum: [1, 1, '1'] }, { enum: [1, '1'] }],
  dependencies: [
    { dependencies: { a: ['b'], c: { required: ['d'] } } },
    { dependentRequired: { a: ['b'] }, dependentSchemas: { c: { required: ['d'] } } },
  ],
  'an empty object as PHP writes it': [{ properties: [] }, { properties: {} }],
  'a number in quotes': [{ minLength: '3' }, { minLength: 3 }],
  'a negative length': [{ minLength: -1 }, {}],
  'a pattern that only JavaScript reads': [{ pattern: '^\\p{L}+$' }, {}],
  'a pattern that every engine reads': [{ pattern: '^[\\w.-]+\\.ts$' }, { pattern: '^[\\w.-]+\\.ts$' }],
  'the name of another draft': [
    { $schema: 'http://json-schema.org/draft-04/schema#', id: 'x', type: 'null' },
    { type: 'null' },
  ],
  'a property that is no schema': [{ properties: { a: 'string', b: null } }, { properties: { a: {}, b: {} } }],
};

for (const [what, [given, made]] of Object.entries(FORMS)) {
  t.test(`${what} becomes a form of 2020-12`, async (t) => {
    const schema = to2020({ type: 'object', properties: { it: given } });
    t.same(schema, { type: 'object', properties: { it: made } });
    t.same(problemsOf(schema), []);
  });
}

t.test('a property that says itself that it is required is required by its object', async (t) => {
  t.same(to2020({ properties: { a: { type: 'string', required: true }, b: {} }, required: ['b'] }), {
    type: 'object',
    properties: { a: { type: 'string' }, b: {} },
    required: ['b', 'a'],
  });
});

t.test('what is no schema at all becomes an open object', async (t) => {
  for (const nothing of [undefined, null, 5, 'object', [], true]) t.same(to2020(nothing), { type: 'object' });
});

t.test('whatever a server calls a schema, the API takes what becomes of it', async (t) => {
  fc.assert(
    fc.property(anySchema, (given) => {
      const before = JSON.stringify(given);
      const schema = to2020(given);
      const problems = problemsOf(schema);
      if (problems.length > 0) throw new Error(`${problems.join('\n')}\n${JSON.stringify(schema)}`);
      if (JSON.stringify(given) !== before) throw new Error('the given schema was changed');
      if (JSON.stringify(to2020(schema)) !== JSON.stringify(schema)) throw new Error('the second time changes more');
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});
