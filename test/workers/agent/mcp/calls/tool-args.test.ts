import t from 'tap';
import pino from 'pino';
import { ToolArgs } from '../../../../../workers/agent/mcp/calls/tool-args.js';
import type { ToolDefinition } from '../../../../../src/shared/tool-definition.js';

const tool = (inputSchema: Record<string, unknown>): ToolDefinition => ({ name: 'x', description: '', inputSchema });
const args = new ToolArgs(pino({ level: 'silent' }));

void t.test('arguments that fit have no problem; what does not fit is said in words', async (t) => {
  const read = tool({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: { path: { type: 'string', minLength: 1 }, limit: { type: 'integer' } },
    required: ['path'],
    additionalProperties: false,
  });
  t.equal(args.problem(read, { path: 'a' }), undefined);
  t.equal(args.problem(read, { path: 'a', limit: 3 }), undefined);
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
    t.type(args.problem(read, wrong), 'string', JSON.stringify(wrong));
  }
});

void t.test('checking leaves the arguments as they are', async (t) => {
  const withDefault = tool({ type: 'object', properties: { n: { type: 'number', default: 3 } } });
  const given = { other: '5' };
  t.equal(args.problem(withDefault, given), undefined);
  t.same(given, { other: '5' });
});

void t.test('an old dialect is understood; a schema that cannot be compiled takes nothing away', async (t) => {
  const draft7 = tool({
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    properties: { n: { type: 'number' } },
  });
  t.equal(args.problem(draft7, { n: 1 }), undefined);
  const broken = tool({ type: 'object', properties: { n: { $ref: '#/nowhere' } } });
  t.equal(args.problem(broken, { n: 1 }), undefined);
  t.equal(args.problem(broken, { n: 1 }), undefined, 'the second time too');
});

const of = (type: string): ToolDefinition =>
  tool({ $id: 'https://example.org/same', type: 'object', properties: { a: { type } } });

void t.test('a schema that has another’s `$id` is checked by itself, and none is fetched', async (t) => {
  const args = new ToolArgs(pino({ level: 'silent' }));
  t.equal(args.problem(of('string'), { a: 'x' }), undefined);
  t.equal(args.problem(of('number'), { a: 1 }), undefined);
  t.ok(args.problem(of('number'), { a: 'x' }));
  const remote = {
    ...of('x'),
    inputSchema: { type: 'object', properties: { a: { $ref: 'http://127.0.0.1:1/x.json' } } },
  };
  t.equal(args.problem(remote, { a: 1 }), undefined, 'its server checks it');
});

void t.test('what a tool answers is checked against its output schema, where it has one', async (t) => {
  const args = new ToolArgs(pino({ level: 'silent' }));
  const plain: ToolDefinition = { name: 'a', description: '', inputSchema: {} };
  const tool = { ...plain, outputSchema: { type: 'object', required: ['n'], properties: { n: { type: 'number' } } } };
  t.equal(args.outputProblem(tool, { n: 1 }), undefined);
  t.match(args.outputProblem(tool, {}), /n/);
  t.equal(args.outputProblem(plain, {}), undefined);
});
