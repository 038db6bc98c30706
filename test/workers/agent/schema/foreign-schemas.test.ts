import pino from 'pino';
import t, { type Test } from 'tap';
import { ForeignSchemas, type ForeignSchemaTimes } from '../../../../workers/agent/schema/foreign-schemas.js';
import { until } from '../../../helpers/until.js';

const EVE = { user: 'eve', server: 'evil' };
const ADA = { user: 'ada', server: 'good' };
const BOB = { user: 'bob', server: 'good' };
const SLOW = { fits: false, unchecked: true, problem: /takes too long/ };

function make(t: Test, times: Partial<ForeignSchemaTimes> = {}): ForeignSchemas {
  const schemas = new ForeignSchemas({ log: pino({ level: 'silent' }), times: { checkMs: 1_000, ...times } });
  t.teardown(() => schemas.close());
  return schemas;
}

const one = (schema: object): Record<string, unknown> => ({ type: 'object', properties: { a: schema } });
const as = (length: number): string => `${'a'.repeat(length)}!`;

/** Each refers to the next one twice: twenty-eight parts, and a quarter of a thousand million steps. */
function doubling(combine: 'allOf' | 'anyOf'): Record<string, unknown> {
  const $defs: Record<string, unknown> = { d28: { type: 'string', ...(combine === 'anyOf' ? { minLength: 99 } : {}) } };
  for (let at = 0; at < 28; at++) {
    const $ref = `#/$defs/d${at + 1}`;
    $defs[`d${at}`] = { [combine]: [{ $ref }, { $ref }] };
  }
  return { type: 'object', properties: { a: { $ref: '#/$defs/d0' } }, $defs };
}

/** What a schema of a few lines can do to the thread that checks it. */
const EVIL: Record<string, [schema: Record<string, unknown>, value: unknown]> = {
  'a pattern that goes back and forth': [one({ type: 'string', pattern: '^(a+)+$' }), { a: as(40) }],
  'such a pattern for names': [{ type: 'object', patternProperties: { '^(a+)+$': {} } }, { [as(40)]: 1 }],
  'such a pattern for all names': [{ type: 'object', propertyNames: { pattern: '^(a|a)*$' } }, { [as(40)]: 1 }],
  'such a pattern in a combination': [one({ anyOf: [{ not: { pattern: '^(a+)+$' } }] }), { a: as(40) }],
  'uniqueItems of many objects': [
    one({ type: 'array', uniqueItems: true }),
    { a: Array.from({ length: 20_000 }, (_, n) => ({ n, m: [n, { n }] })) },
  ],
  'references that double': [doubling('allOf'), { a: 'x' }],
  'references that double, with errors': [doubling('anyOf'), { a: 'x' }],
};

for (const [name, [schema, value]] of Object.entries(EVIL)) {
  void t.test(`${name}: the thread goes on with other work while it is checked, and the check is ended`, async (t) => {
    const schemas = make(t);
    let turns = 0;
    let isOver = false;
    const other = one({ type: 'string', pattern: '^b+$' });
    await Promise.all([ADA, BOB].map((owner) => schemas.check(other, { a: 'b' }, owner)));
    t.equal(schemas.threads, 2, 'both threads run already');
    const loop = setInterval(() => turns++, 1);
    t.teardown(() => clearInterval(loop));
    const evil = schemas.check(schema, value, EVE).finally(() => (isOver = true));
    // Another user's check of the same kind begins and ends in the middle of it.
    t.same(await schemas.check(other, { a: 'bbb' }, ADA), { fits: true });
    t.match(await schemas.check(other, { a: 'c' }, ADA), { fits: false, problem: /pattern/ });
    t.notOk(isOver);
    t.match(await evil, SLOW);
    t.ok(turns > 100, `the loop turned ${turns} times`);
  });
}

void t.test('a schema that is deeper than the stack, or larger than the limit, costs only its own check', async (t) => {
  const schemas = make(t);
  let deep: Record<string, unknown> = { type: 'string' };
  for (let level = 0; level < 20_000; level++) deep = { not: deep };
  const found = await schemas.check(deep, {}, EVE);
  t.match(found, { fits: false, unchecked: true, problem: /too large|too long/ });
  const many = {
    type: 'object',
    properties: Object.fromEntries(Array.from({ length: 30_000 }, (_, n) => [`p${n}`, {}])),
  };
  t.match(await schemas.check(many, {}, EVE), { fits: false, unchecked: true, problem: /too large/ });
  const long = { type: 'object', properties: { a: { pattern: 'x' } } };
  t.match(await schemas.check(long, { a: 'x'.repeat(2_000_000) }, EVE), { unchecked: true, problem: /too large/ });
  t.match(await schemas.check(one({ pattern: '^x$' }), { a: 'x' }, ADA), { fits: true });
});

void t.test('after a slow check no schema of that server is tried for that user for a while', async (t) => {
  const schemas = make(t, { pauseMs: 60_000 });
  const [schema, value] = EVIL['a pattern that goes back and forth']!;
  t.match(await schemas.check(schema, value, EVE), SLOW);
  t.equal(schemas.threads, 0, 'its thread is gone');
  t.match(await schemas.check({ ...schema }, value, EVE), SLOW);
  t.match(await schemas.check(one({ pattern: '^x$' }), { a: 'x' }, EVE), SLOW);
  t.equal(schemas.threads, 0, 'and none was started');
  t.same(await schemas.check(one({ type: 'string' }), { a: 'x' }, EVE), { fits: true }, 'what is cheap is checked');
  t.same(await schemas.check(one({ pattern: '^x$' }), { a: 'x' }, { ...EVE, server: 'good' }), { fits: true });
});

void t.test(
  'one user’s slow value keeps nobody else from the tool, and a schema that is slow with three is paused',
  async (t) => {
    const schemas = make(t, { pauseMs: 60_000 });
    const [schema, value] = EVIL['uniqueItems of many objects']!;
    t.match(await schemas.check(schema, value, EVE), SLOW);
    t.same(await schemas.check(schema, { a: [1, 2] }, ADA), { fits: true });
    t.match(await schemas.check({ ...schema }, value, ADA), SLOW);
    t.same(await schemas.check(schema, { a: [1, 2] }, BOB), { fits: true });
    t.match(await schemas.check({ ...schema }, value, BOB), SLOW);
    t.equal(schemas.threads, 0);
    t.match(await schemas.check({ ...schema }, value, { user: 'cleo', server: 'good' }), SLOW);
    t.equal(schemas.threads, 0, 'no thread was started');
  },
);

void t.test('one user’s slow checks hold one thread, and too many are refused', async (t) => {
  const schemas = make(t, { pauseMs: 0 });
  const slow = Array.from({ length: 30 }, (_, n) =>
    schemas.check(one({ pattern: '^(a+)+$', title: `${n}` }), { a: as(40) }, { user: 'eve', server: `evil ${n}` }),
  );
  t.same(await schemas.check(one({ pattern: '^x$' }), { a: 'x' }, ADA), { fits: true });
  t.match(await Promise.race(slow.slice(-5)), { unchecked: true, problem: /too many other checks/ });
  schemas.close();
  await Promise.all(slow);
});

void t.test('schema threads are started when one is needed, and end when they are unused', async (t) => {
  const schemas = make(t, { idleMs: 50 });
  t.same(await schemas.check(one({ type: 'string', minLength: 2 }), { a: 'xy' }, ADA), { fits: true });
  t.match(await schemas.check(one({ type: 'string', minLength: 2 }), { a: 'x' }, ADA), { fits: false, problem: /2/ });
  t.equal(schemas.threads, 0);
  t.same(await schemas.check(one({ format: 'date' }), { a: '2026-01-31' }, ADA), { fits: true });
  t.match(await schemas.check(one({ format: 'date' }), { a: 'today' }, ADA), { fits: false, problem: /date/ });
  t.equal(schemas.threads, 1);
  await until('the thread has ended', () => schemas.threads === 0, { timeoutMs: 20_000 });
});

void t.test('a schema that is not valid lets everything pass: its server checks what it gets', async (t) => {
  const schemas = make(t);
  for (const schema of [one({ pattern: '(' }), one({ type: 'no such type' }), one({ $ref: '#/nowhere' })]) {
    t.same(await schemas.check(schema, { a: 1 }, ADA), { fits: true, unchecked: true });
  }
});

void t.test(
  'a property with the name of what all objects inherit is checked only where the value has it',
  async (t) => {
    const schemas = make(t);
    const names = ['constructor', 'toString', 'valueOf', 'hasOwnProperty', '__proto__'];
    for (const name of names) {
      const known = JSON.parse(`{ "type": "object", "properties": { "${name}": { "type": "string" } } }`) as Record<
        string,
        unknown
      >;
      // The second is checked in a schema thread.
      for (const schema of [known, { ...known, propertyNames: { pattern: '.' } }]) {
        const dialects = [{}, { $schema: 'http://json-schema.org/draft-07/schema#' }];
        for (const dialect of dialects)
          t.same(await schemas.check({ ...schema, ...dialect }, {}, ADA), { fits: true }, name);
        if (name !== '__proto__') t.match(await schemas.check(schema, { [name]: 1 }, ADA), { fits: false });
        t.match(await schemas.check({ ...schema, required: [name] }, {}, ADA), { fits: false, problem: /required/ });
      }
    }
  },
);

void t.test('a schema that refers to itself without an end lets everything pass', async (t) => {
  const schemas = make(t);
  const around = { $ref: '#/$defs/a', $defs: { a: { anyOf: [{ $ref: '#/$defs/b' }] }, b: { $ref: '#/$defs/a' } } };
  for (const schema of [{ $ref: '#' }, around, { allOf: [{ $ref: '#' }, { $ref: '#' }] }]) {
    t.same(await schemas.check(schema, { a: [1] }, ADA), { fits: true, unchecked: true });
  }
  const list = { type: 'object', properties: { next: { $ref: '#' }, n: { type: 'number' } } };
  t.same(await schemas.check(list, { next: { next: { n: 1 } } }, ADA), { fits: true });
  t.match(await schemas.check(list, { next: { next: { n: 'x' } } }, ADA), { fits: false, problem: /next\/n/ });
});
