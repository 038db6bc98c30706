import t from 'tap';
import pino from 'pino';
import { ForeignSchemas } from '../../../../workers/agent/schema/foreign-schemas.js';
import { acceptedContent } from '../../../../workers/agent/turn/forms.js';

const schemas = new ForeignSchemas({ log: pino({ level: 'silent' }) });
t.teardown(() => schemas.close());
const filled = (schema: Record<string, unknown>, content?: Record<string, unknown>): Promise<Record<string, unknown>> =>
  acceptedContent(schemas, { schema, content, owner: { user: 'ada', server: 's' } });

const form = (properties: object, required: string[] = []): Record<string, unknown> => ({
  type: 'object',
  properties,
  required,
});

void t.test('fields that were left out get their defaults before the answer is checked', async (t) => {
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
  t.same(await filled(schema), { name: 'Ann', age: 0, yes: false, colour: 'blue', many: ['a'] });
  t.same(await filled(schema, { name: 'Bo', many: [] }), {
    name: 'Bo',
    many: [],
    age: 0,
    yes: false,
    colour: 'blue',
  });
  await t.rejects(filled(schema, { age: 'old' }), { code: 'ERR_TOOL_ARGS' });
  await t.rejects(filled(form({ a: { type: 'string' } }, ['a'])), { code: 'ERR_TOOL_ARGS' });
});

void t.test('all shapes of choices are taken and checked', async (t) => {
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
    t.same(await filled(form({ field }), { field: '#00f' }), { field: '#00f' });
    await t.rejects(filled(form({ field }), { field: 'Blue' }), { code: 'ERR_TOOL_ARGS' });
  }
  const several = [
    { type: 'array', minItems: 1, items: { type: 'string', enum: ['#f00', '#00f'] } },
    { type: 'array', minItems: 1, items: { anyOf: titled } },
  ];
  for (const field of several) {
    t.same(await filled(form({ field }), { field: ['#00f', '#f00'] }), { field: ['#00f', '#f00'] });
    await t.rejects(filled(form({ field }), { field: ['Blue'] }), { code: 'ERR_TOOL_ARGS' });
    await t.rejects(filled(form({ field }), { field: [] }), { code: 'ERR_TOOL_ARGS' });
  }
});

void t.test('a form that cannot be compiled may be answered, with its defaults', async (t) => {
  const schema = form({ name: { type: 'string', minLength: -1, default: 'x' }, other: { type: 'no such type' } }, [
    'name',
  ]);
  t.same(await filled(schema, { other: 7 }), { other: 7, name: 'x' });
  t.same(await filled({ type: 'object', properties: 'none' }, { a: 1 }), { a: 1 });
});

void t.test('a field whose name is that of a prototype is a field', async (t) => {
  const schema = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string","default":"x"}}}') as object;
  const content = await filled(schema as Record<string, unknown>, {});
  t.equal(Object.getPrototypeOf(content), Object.prototype);
  t.ok(Object.hasOwn(content, '__proto__'));
});
