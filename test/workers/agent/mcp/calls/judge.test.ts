import pino from 'pino';
import t from 'tap';
import { parseConfig } from '../../../../../src/shared/config.js';
import { isDenied, judge, refuseDenied } from '../../../../../workers/agent/mcp/calls/judge.js';
import { createPolicy, permissionKey, type Policy } from '../../../../../workers/agent/mcp/calls/policy.js';
import { ToolArgs } from '../../../../../workers/agent/mcp/calls/tool-args.js';
import { buildToolSet, type NamedTool } from '../../../../../workers/agent/mcp/catalogue/tool-names.js';

const toolArgs = new ToolArgs(pino({ level: 'silent' }));

function policyOf(...rules: Record<string, unknown>[]): Policy {
  return createPolicy(parseConfig({ approvals: { rules } }, {}));
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
  t.match(judge(parts, undefined, args, []), { verdict: 'unknown' });
  t.match(judge(parts, toolSet.of('away', 'look'), {}, []), { verdict: 'gone', text: /away.*it does not answer/ });
  t.match(judge(parts, read, undefined, []), { verdict: 'bad-args', problem: 'they are not valid JSON' });
  t.match(judge(parts, read, { path: 1 }, []), { verdict: 'bad-args', text: /do not fit the tool's schema/ });
  t.match(judge(parts, read, args, []), { verdict: 'deny' });
  t.match(judge({ ...parts, policy: policyOf({ action: 'allow' }) }, read, args, []), { verdict: 'allow' });
});

t.test('a yes for the session is about what was judged: the tool, or the server whose resource is read', async (t) => {
  const parts = { policy: policyOf(), toolArgs };
  const keyOf = (tool: NamedTool, args: Record<string, unknown>): string => {
    const judgement = judge(parts, tool, args, []);
    if (judgement.verdict !== 'ask') throw new Error(judgement.verdict);
    return judgement.key;
  };
  t.equal(keyOf(read, { path: 'a' }), permissionKey(read));
  const docs = { server: 'docs', uri: 'a:b' };
  const other = { server: 'other', uri: 'a:b' };
  t.equal(keyOf(readResource, docs), permissionKey({ ...readResource, server: 'docs' }));
  t.match(judge(parts, readResource, docs, [keyOf(readResource, docs)]), { verdict: 'allow' });
  t.match(judge(parts, readResource, other, [keyOf(readResource, docs)]), { verdict: 'ask' });
});

t.test('requests for prompts and resources: a deny holds, an ask is answered by who asks', async (t) => {
  const policy = policyOf(
    { server: 'docs', tool: 'get_prompt', action: 'deny' },
    { server: 'other', tool: '*_resource*', action: 'deny' },
    { action: 'ask' },
  );
  t.equal(isDenied(policy, 'docs', 'prompts/get'), true);
  t.equal(isDenied(policy, 'docs', 'prompts/list'), false);
  t.equal(isDenied(policy, 'other', 'prompts/get'), false);
  for (const method of ['resources/list', 'resources/templates/list', 'resources/read'] as const) {
    t.equal(isDenied(policy, 'other', method), true, method);
    t.equal(isDenied(policy, 'docs', method), false, method);
  }
  t.throws(() => refuseDenied(policy, 'docs', 'prompts/get'), { code: 'ERR_DENIED', message: /get_prompt of docs/ });
  refuseDenied(policy, 'docs', 'resources/read');
});

t.test('without rules the default decides on them too', async (t) => {
  for (const action of ['ask', 'deny']) {
    const policy = createPolicy(parseConfig({ approvals: { default: action } }, {}));
    t.equal(isDenied(policy, 'docs', 'resources/read'), action === 'deny', action);
  }
});
