import pino from 'pino';
import t from 'tap';
import { parseConfig } from '../../../../../src/shared/config.js';
import { isDenied, judge, refuseDenied } from '../../../../../workers/agent/mcp/calls/judge.js';
import { createPolicy, permissionKey, type Policy } from '../../../../../workers/agent/mcp/calls/policy.js';
import { ForeignSchemas } from '../../../../../workers/agent/schema/foreign-schemas.js';
import { ToolArgs } from '../../../../../workers/agent/mcp/calls/tool-args.js';
import { buildToolSet, type NamedTool } from '../../../../../workers/agent/mcp/catalogue/tool-names.js';

// The deadlines are those of a machine that is full.
const schemas = new ForeignSchemas({ log: pino({ level: 'silent' }), times: { checkMs: 30_000, startMs: 60_000 } });
t.teardown(() => schemas.close());
const toolArgs = new ToolArgs(schemas);
const ada = { user: 'ada' };
const allowing = (...allowed: string[]) => ({ ...ada, allowed });

function policyOf(...rules: Record<string, unknown>[]): Policy {
  return createPolicy(parseConfig({ approvals: { rules } }, {}), schemas);
}

const inputSchema = { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] };
const toolSet = buildToolSet(
  { files: [{ name: 'read', description: '', inputSchema }], away: [{ name: 'look', description: '', inputSchema }] },
  { notes: { away: { down: 'it does not answer' }, docs: { resources: true } } },
);
const read = toolSet.of('files', 'read')!;
const readResource = toolSet.of('@fairlead', 'read_resource')!;

t.test('a call is judged by its tool, its arguments and the rules, in this order', async (t) => {
  const parts = { policy: policyOf({ server: 'files', action: 'deny' }), toolArgs };
  const args = { path: 'a' };
  t.match(await judge(parts, undefined, args, allowing()), { verdict: 'unknown' });
  t.match(await judge(parts, toolSet.of('away', 'look'), {}, allowing()), {
    verdict: 'gone',
    text: /away.*it does not answer/,
  });
  t.match(await judge(parts, read, undefined, allowing()), { verdict: 'bad-args', problem: 'they are not valid JSON' });
  t.match(await judge(parts, read, { path: 1 }, allowing()), {
    verdict: 'bad-args',
    text: /do not fit the tool's schema/,
  });
  t.match(await judge(parts, read, args, allowing()), { verdict: 'deny' });
  t.match(await judge({ ...parts, policy: policyOf({ action: 'allow' }) }, read, args, allowing()), {
    verdict: 'allow',
  });
});

t.test('a yes for the session is about what was judged: the tool, or the server whose resource is read', async (t) => {
  const parts = { policy: policyOf(), toolArgs };
  const keyOf = async (tool: NamedTool, args: Record<string, unknown>): Promise<string> => {
    const judgement = await judge(parts, tool, args, allowing());
    if (judgement.verdict !== 'ask') throw new Error(judgement.verdict);
    return judgement.key;
  };
  t.equal(await keyOf(read, { path: 'a' }), permissionKey(read));
  const docs = { server: 'docs', uri: 'a:b' };
  const other = { server: 'other', uri: 'a:b' };
  t.equal(await keyOf(readResource, docs), permissionKey({ ...readResource, server: 'docs' }));
  t.match(await judge(parts, readResource, docs, allowing(await keyOf(readResource, docs))), { verdict: 'allow' });
  t.match(await judge(parts, readResource, other, allowing(await keyOf(readResource, docs))), { verdict: 'ask' });
});

t.test('requests for prompts and resources: a deny holds, an ask is answered by who asks', async (t) => {
  const policy = policyOf(
    { server: 'docs', tool: 'get_prompt', action: 'deny' },
    { server: 'other', tool: '*_resource*', action: 'deny' },
    { action: 'ask' },
  );
  t.equal(await isDenied(policy, ada, { server: 'docs', method: 'prompts/get' }), true);
  t.equal(await isDenied(policy, ada, { server: 'docs', method: 'prompts/list' }), false);
  t.equal(await isDenied(policy, ada, { server: 'other', method: 'prompts/get' }), false);
  for (const method of ['resources/list', 'resources/templates/list', 'resources/read'] as const) {
    t.equal(await isDenied(policy, ada, { server: 'other', method: method }), true, method);
    t.equal(await isDenied(policy, ada, { server: 'docs', method: method }), false, method);
  }
  const refused = refuseDenied(policy, ada, { server: 'docs', method: 'prompts/get' });
  await t.rejects(refused, { code: 'ERR_DENIED', message: /get_prompt of docs/ });
  await refuseDenied(policy, ada, { server: 'docs', method: 'resources/read' });
});

t.test('of a server that is not believed a resource or a prompt is not read-only, whoever asks for it', async (t) => {
  const rules = [
    { readOnly: true, action: 'allow' },
    { tool: '{read_resource,get_prompt}', action: 'deny' },
  ];
  const mcpServers = {
    docs: { url: 'https://docs.example/mcp' },
    mine: { url: 'https://mine.example/mcp', trustHints: true },
  };
  const policy = createPolicy(parseConfig({ approvals: { rules }, mcpServers }, {}), schemas);
  for (const method of ['resources/read', 'prompts/get'] as const) {
    t.equal(await isDenied(policy, ada, { server: 'docs', method }), true, method);
    t.equal(await isDenied(policy, ada, { server: 'mine', method }), false, `${method} of a server that is believed`);
    t.equal(await isDenied(policy, ada, { server: 'constructor', method }), true, `${method} of a server that is none`);
  }
  const inTurn = (server: string) =>
    judge({ policy, toolArgs }, readResource, { server, uri: 'a:b' }, { ...ada, allowed: [] });
  t.match(await inTurn('docs'), { verdict: 'deny', by: { rule: 1 } });
  t.match(await inTurn('mine'), { verdict: 'allow', by: { rule: 0 } });
  const writes = createPolicy(
    parseConfig({ approvals: { rules: [{ readOnly: false, action: 'deny' }] }, mcpServers }, {}),
    schemas,
  );
  t.equal(
    await isDenied(writes, ada, { server: 'docs', method: 'resources/read' }),
    true,
    'it counts as one that writes',
  );
  t.equal(await isDenied(writes, ada, { server: 'mine', method: 'resources/read' }), false);
});

t.test('without rules the default decides on them too', async (t) => {
  for (const action of ['ask', 'deny']) {
    const policy = createPolicy(parseConfig({ approvals: { default: action } }, {}), schemas);
    t.equal(await isDenied(policy, ada, { server: 'docs', method: 'resources/read' }), action === 'deny', action);
  }
});

const reading = (uri: string) => ({ server: 'docs', method: 'resources/read', params: { uri } }) as const;
const getting = (name: string) => ({ server: 'docs', method: 'prompts/get', params: { name } }) as const;

t.test('a rule about arguments holds for every way to a resource or a prompt', async (t) => {
  const secret = { type: 'object', properties: { uri: { type: 'string', pattern: '^secret:' } }, required: ['uri'] };
  const named = { type: 'object', properties: { name: { const: 'admin' } }, required: ['name'] };
  const policy = policyOf(
    { server: 'docs', tool: 'read_resource', args: secret, group: 'guests', action: 'deny' },
    { server: 'docs', tool: 'get_prompt', args: named, action: 'deny' },
    { action: 'allow' },
  );
  const guest = { ...ada, who: { role: 'user', groups: ['guests'] } } as const;
  t.equal(await isDenied(policy, guest, reading('secret:a')), true);
  t.equal(await isDenied(policy, guest, reading('open:a')), false);
  t.equal(await isDenied(policy, ada, reading('secret:a')), false, 'another group');
  const inTurn = await judge(
    { policy, toolArgs },
    readResource,
    { server: 'docs', uri: 'secret:a' },
    { ...guest, allowed: [] },
  );
  t.match(inTurn, { verdict: 'deny', by: { rule: 0 } });
  t.equal(await isDenied(policy, ada, getting('admin')), true);
  t.equal(await isDenied(policy, ada, getting('other')), false);
  const forged = { ...reading('open:a'), params: { uri: 'open:a', server: 'other' } };
  const ofDocs = { type: 'object', properties: { server: { const: 'docs' } }, required: ['server'] };
  for (const rule of [{ server: 'docs' }, { args: ofDocs }])
    t.equal(await isDenied(policyOf({ ...rule, action: 'deny' }), ada, forged), true, 'the server is the one asked');
});
