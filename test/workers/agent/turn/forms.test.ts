import t from 'tap';
import { acceptedContent } from '../../../../workers/agent/turn/forms.js';

const form = (properties: object, required: string[] = []): Record<string, unknown> => ({
  type: 'object',
  properties,
  required,
});

void t.test('fields that were left out get their defaults before the answer is checked', (t) => {
  const schema = form(
    {
      name: { type: 'string', default: 'Ann' },
      age: { type: 'integer', default: 0 },
      yes: { type: 'boolean', default: false },
      colour: { type: 'string', enum: ['red', 'blue'], default: 'blue' },
      many: { type: 'array', items: { type: 'string', enum: ['a', 'b'] }, default: ['a'] },
      note: { type: 'string' },
    },
    ['name', 'age'],
  );
  t.same(acceptedContent(schema), { name: 'Ann', age: 0, yes: false, colour: 'blue', many: ['a'] });
  t.same(acceptedContent(schema, { name: 'Bo', many: [] }), {
    name: 'Bo',
    many: [],
    age: 0,
    yes: false,
    colour: 'blue',
  });
  t.throws(() => acceptedContent(schema, { age: 'old' }), { code: 'ERR_TOOL_ARGS' });
  t.throws(() => acceptedContent(form({ a: { type: 'string' } }, ['a'])), { code: 'ERR_TOOL_ARGS' });
  t.end();
});

void t.test('all shapes of choices are taken and checked', (t) => {
  const titled = [
    { const: '#f00', title: 'Red' },
    { const: '#00f', title: 'Blue' },
  ];
  const single = [
    { type: 'string', enum: ['#f00', '#00f'] },
    { type: 'string', enum: ['#f00', '#00f'], enumNames: ['Red', 'Blue'] },
    { type: 'string', oneOf: titled },
  ];
  for (const field of single) {
    t.same(acceptedContent(form({ field }), { field: '#00f' }), { field: '#00f' });
    t.throws(() => acceptedContent(form({ field }), { field: 'Blue' }), { code: 'ERR_TOOL_ARGS' });
  }
  const several = [
    { type: 'array', minItems: 1, items: { type: 'string', enum: ['#f00', '#00f'] } },
    { type: 'array', minItems: 1, items: { anyOf: titled } },
  ];
  for (const field of several) {
    t.same(acceptedContent(form({ field }), { field: ['#00f', '#f00'] }), { field: ['#00f', '#f00'] });
    t.throws(() => acceptedContent(form({ field }), { field: ['Blue'] }), { code: 'ERR_TOOL_ARGS' });
    t.throws(() => acceptedContent(form({ field }), { field: [] }), { code: 'ERR_TOOL_ARGS' });
  }
  t.end();
});

void t.test('a form that cannot be compiled may be answered, with its defaults', (t) => {
  const schema = form({ name: { type: 'string', minLength: -1, default: 'x' }, other: { type: 'no such type' } }, [
    'name',
  ]);
  t.same(acceptedContent(schema, { other: 7 }), { other: 7, name: 'x' });
  t.same(acceptedContent({ type: 'object', properties: 'none' }, { a: 1 }), { a: 1 });
  t.end();
});

void t.test('a field whose name is that of a prototype is a field', (t) => {
  const schema = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string","default":"x"}}}') as object;
  const filled = acceptedContent(schema as Record<string, unknown>, {});
  t.equal(Object.getPrototypeOf(filled), Object.prototype);
  t.ok(Object.hasOwn(filled, '__proto__'));
  t.end();
});
