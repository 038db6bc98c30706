import t from 'tap';
import pino from 'pino';
import { ToolArgs } from '../../../../../workers/agent/mcp/calls/tool-args.js';
import { ForeignSchemas } from '../../../../../workers/agent/schema/foreign-schemas.js';
import type { ToolDefinition } from '../../../../../src/shared/tool-definition.js';

const tool = (inputSchema: Record<string, unknown>): ToolDefinition => ({ name: 'x', description: '', inputSchema });
const schemas = new ForeignSchemas({ log: pino({ level: 'silent' }) });
t.teardown(() => schemas.close());
const OWNER = { user: 'ada', server: 's' };
const args = new ToolArgs(schemas);

void t.test('arguments that fit have no problem; what does not fit is said in words', async (t) => {
  const read = tool({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: { path: { type: 'string', minLength: 1 }, limit: { type: 'integer' } },
    required: ['path'],
    additionalProperties: false,
  });
  t.equal(await args.problem(read, { path: 'a' }, OWNER), undefined);
  t.equal(await args.problem(read, { path: 'a', limit: 3 }, OWNER), undefined);
  for (const wrong of [
    {},
    { path: 1 },
    { path: '' },
    { path: 'a', limit: 1.5 },
    { path: 'a', more: 1 },
    [],
    'a',
    null,
  ]) {
    t.type(await args.problem(read, wrong, OWNER), 'string', JSON.stringify(wrong));
  }
});

void t.test('checking leaves the arguments as they are', async (t) => {
  const withDefault = tool({ type: 'object', properties: { n: { type: 'number', default: 3 } } });
  const given = { other: '5' };
  t.equal(await args.problem(withDefault, given, OWNER), undefined);
  t.same(given, { other: '5' });
});

void t.test('an old dialect is understood; a schema that cannot be compiled takes nothing away', async (t) => {
  const draft7 = tool({
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    properties: { n: { type: 'number' } },
  });
  t.equal(await args.problem(draft7, { n: 1 }, OWNER), undefined);
  const broken = tool({ type: 'object', properties: { n: { $ref: '#/nowhere' } } });
  t.equal(await args.problem(broken, { n: 1 }, OWNER), undefined);
  t.equal(await args.problem(broken, { n: 1 }, OWNER), undefined, 'the second time too');
});

const of = (type: string): ToolDefinition =>
  tool({ $id: 'https://example.org/same', type: 'object', properties: { a: { type } } });

void t.test('a schema that has another’s `$id` is checked by itself, and none is fetched', async (t) => {
  t.equal(await args.problem(of('string'), { a: 'x' }, OWNER), undefined);
  t.equal(await args.problem(of('number'), { a: 1 }, OWNER), undefined);
  t.ok(await args.problem(of('number'), { a: 'x' }, OWNER));
  const remote = {
    ...of('x'),
    inputSchema: { type: 'object', properties: { a: { $ref: 'http://127.0.0.1:1/x.json' } } },
  };
  t.equal(await args.problem(remote, { a: 1 }, OWNER), undefined, 'its server checks it');
});

void t.test('what a tool answers is checked against its output schema, where it has one', async (t) => {
  const plain: ToolDefinition = { name: 'a', description: '', inputSchema: {} };
  const tool = { ...plain, outputSchema: { type: 'object', required: ['n'], properties: { n: { type: 'number' } } } };
  t.equal(await args.outputProblem(tool, { n: 1 }, OWNER), undefined);
  t.match(await args.outputProblem(tool, {}, OWNER), /n/);
  t.equal(await args.outputProblem(plain, {}, OWNER), undefined);
});
