import t from 'tap';
import { checkArguments, inputSchema } from '../../../workers/workspace/arguments.js';

const schema = inputSchema(
  {
    path: { type: 'string', minLength: 1, maxLength: 4 },
    limit: { type: 'integer', minimum: 1, maximum: 10, default: 5 },
    offset: { type: 'integer', minimum: 1, maximum: 10 },
    all: { type: 'boolean', default: false },
  },
  ['path'],
);

t.test('defaults are filled in, and what is left out otherwise is undefined', async (t) => {
  t.same(checkArguments(schema, { path: 'a' }), {
    ok: true,
    args: { path: 'a', limit: 5, offset: undefined, all: false },
  });
  t.same(checkArguments(schema, { path: 'a', limit: 10, offset: 1, all: true }), {
    ok: true,
    args: { path: 'a', limit: 10, offset: 1, all: true },
  });
});

t.test('each thing that does not fit is named', async (t) => {
  for (const [given, problem] of [
    [{}, 'path: a string is required'],
    [{ path: null }, 'path: must be a string, not null'],
    [{ path: ['a'] }, 'path: must be a string, not an array'],
    [{ path: '' }, 'path: at least 1 characters are required'],
    [{ path: 'abcde' }, 'path: at most 4 characters are allowed'],
    [{ path: 'a', limit: '5' }, 'limit: must be an integer, not string'],
    [{ path: 'a', limit: 1.5 }, 'limit: must be an integer, without a fraction'],
    [{ path: 'a', limit: Infinity }, 'limit: must be an integer, without a fraction'],
    [{ path: 'a', limit: 0 }, 'limit: must be at least 1'],
    [{ path: 'a', offset: 11 }, 'offset: must be at most 10'],
    [{ path: 'a', all: 'yes' }, 'all: must be a boolean, not string'],
    [{ path: 'a', constructor: 1, x: 2 }, 'unknown arguments: "constructor", "x"'],
    [JSON.parse('{"path":"a","__proto__":{"limit":1}}'), 'unknown arguments: "__proto__"'],
    [{ limit: 0 }, 'path: a string is required; limit: must be at least 1'],
  ] as [Record<string, unknown>, string][]) {
    t.same(checkArguments(schema, given), { ok: false, problem }, JSON.stringify(given));
  }
});

t.test('a schema says required only where something is', async (t) => {
  t.same(schema.required, ['path']);
  t.notOk('required' in inputSchema({}, []));
});
