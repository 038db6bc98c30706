import t from 'tap';
import { describeField, fieldsOf, parseField, type Field } from '../../../src/cli/elicitation-form.js';

function field(property: Record<string, unknown>, required = false): Field {
  const [only] = fieldsOf({ type: 'object', properties: { it: property }, required: required ? ['it'] : [] });
  if (only === undefined) throw new Error('no field');
  return only;
}

t.test('each property is a field, in order, and is asked for by its title and kind', async (t) => {
  const fields = fieldsOf({
    properties: {
      name: { type: 'string', title: 'Your name' },
      age: { type: 'integer', description: 'Years', default: 7 },
      color: { type: 'string', enum: ['red', 'blue'] },
      ok: { type: 'boolean' },
      odd: 5,
    },
    required: ['name'],
  });
  t.strictSame(fields.map(describeField), [
    'Your name [string]',
    'Years [integer, empty: 7]',
    'color [red|blue, may be empty]',
    'ok [y/n, may be empty]',
    'odd [string, may be empty]',
  ]);
  t.strictSame(fieldsOf(undefined), []);
  t.strictSame(fieldsOf({ properties: 'none' }), []);
});

t.test('a line becomes a value of the field, or says what is wrong', async (t) => {
  t.equal(parseField(field({ type: 'string' }), 'x'), 'x');
  t.equal(parseField(field({ type: 'number' }), '1.5'), 1.5);
  t.equal(parseField(field({ type: 'integer' }), '7'), 7);
  t.equal(parseField(field({ type: 'boolean' }), 'no'), false);
  t.equal(parseField(field({ type: 'string', enum: ['a', 'b'] }), 'b'), 'b');
  t.equal(parseField(field({ type: 'integer', default: 3 }, true), ''), 3);
  t.equal(parseField(field({ type: 'string' }), ''), undefined);
  t.type(parseField(field({ type: 'string' }, true), ''), Error);
  t.type(parseField(field({ type: 'integer' }), '1.5'), Error);
  t.type(parseField(field({ type: 'number' }), 'x'), Error);
  t.type(parseField(field({ type: 'boolean' }), 'maybe'), Error);
  t.type(parseField(field({ type: 'string', enum: ['a'] }), 'c'), Error);
});

t.test('titles of others cannot move the cursor', async (t) => {
  t.notMatch(describeField(field({ type: 'string', title: '\u001B[2J' })), '\u001B');
});
