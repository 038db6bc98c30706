/** Schemas of every kind of brokenness, for the properties of what must make them valid. Runs in tests. */
import * as fc from 'fast-check';

const KEYWORDS = (
  '$schema $id $ref $anchor type enum const properties required items prefixItems additionalItems minimum exclusiveMinimum ' +
  'multipleOf minLength pattern patternProperties additionalProperties dependencies dependentRequired anyOf allOf not if ' +
  '$defs definitions nullable format default extends uniqueItems description __proto__ $vocabulary dependentSchemas x-other'
).split(' ');
const VALUES = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  '',
  'a',
  'any',
  'string',
  '^(',
  '\\p{L}',
  '#',
  [],
  {},
  [null],
  ['a', 'a'],
];

/** What a server may call a schema: keywords of all drafts with values of all kinds. */
export const { schema: anySchema } = fc.letrec<{ schema: Record<string, unknown>; value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<unknown>(...VALUES),
    fc.array(tie('value'), { maxLength: 3 }),
    tie('schema'),
    fc.dictionary(fc.constantFrom('a', 'b', '^x', '('), tie('value'), { maxKeys: 3 }),
  ),
  schema: fc.dictionary(fc.constantFrom(...KEYWORDS), tie('value'), { maxKeys: 5 }),
}));
