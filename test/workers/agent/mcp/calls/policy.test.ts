import t from 'tap';
import { parseConfig } from '../../../../../src/shared/config.js';
import {
  createPolicy,
  ruledTool,
  permissionKey,
  type Action,
  type Policy,
} from '../../../../../workers/agent/mcp/calls/policy.js';
import type { KnownTool } from '../../../../../workers/agent/mcp/catalogue/tool-names.js';

function policy(approvals: Record<string, unknown> = {}): {
  decide: (...args: Parameters<Policy['decide']>) => Action;
} {
  const mcpServers = { s: { url: 'https://s.example', trustHints: true }, other: { image: 'other' } };
  const made = createPolicy(parseConfig({ approvals, mcpServers }, {}));
  return { decide: (...args) => made.decide(...args) };
}

function tool(server: string, name: string, readOnly?: boolean): KnownTool {
  const definition = { name, description: '', inputSchema: {}, ...(readOnly === undefined ? {} : { readOnly }) };
  return { server, definition };
}

void t.test('without rules each tool is asked for, or what the default says', async (t) => {
  t.equal(policy().decide(tool('s', 'a'), []), 'ask');
  t.equal(policy({ default: 'deny' }).decide(tool('s', 'a'), []), 'deny');
});

void t.test('the first rule that matches wins', async (t) => {
  const rules = [
    { server: 'work*', tool: 'read_*', action: 'allow' },
    { server: 'work*', action: 'deny' },
    { tool: '{a,b}', action: 'allow' },
  ];
  const { decide } = policy({ rules });
  t.equal(decide(tool('workspace', 'read_file'), []), 'allow');
  t.equal(decide(tool('workspace', 'write_file'), []), 'deny');
  t.equal(decide(tool('other', 'b'), []), 'allow');
  t.equal(decide(tool('other', 'read_file'), []), 'ask');
});

void t.test('a rule for read-only tools takes only those that say so', async (t) => {
  const { decide } = policy({
    rules: [
      { readOnly: true, action: 'allow' },
      { readOnly: false, action: 'deny' },
    ],
  });
  t.equal(decide(tool('s', 'a', true), []), 'allow');
  t.equal(decide(tool('s', 'a', false), []), 'deny');
  t.equal(decide(tool('s', 'a'), []), 'deny', 'silence is no promise');
});

void t.test('a server’s word that it only reads counts where the operator trusts its hints', async (t) => {
  const rules = [
    { readOnly: true, action: 'allow' },
    { readOnly: false, action: 'ask' },
  ];
  t.equal(policy({ rules, default: 'allow' }).decide(tool('s', 'a', true), []), 'allow');
  t.equal(policy({ rules, default: 'allow' }).decide(tool('other', 'a', true), []), 'ask', 'counts as one that writes');
  t.equal(policy({ rules: [{ readOnly: true, action: 'allow' }] }).decide(tool('nobody', 'a', true), []), 'ask');
  const writes = { rules: [{ readOnly: false, action: 'allow' }] };
  t.equal(policy(writes).decide(tool('s', 'a'), []), 'allow');
  t.equal(policy(writes).decide(tool('other', 'a'), []), 'ask', 'no rule with a hint allows a tool of theirs');
  t.equal(policy({ rules }).decide(tool('@fairlead', 'list_resources', true), []), 'allow', 'our own word');
});

void t.test('what the person allowed turns an ask into a yes, never a deny', async (t) => {
  const known = tool('s', 'a');
  t.equal(policy().decide(known, [permissionKey(known)]), 'allow');
  t.equal(policy().decide(tool('other', 'a'), [permissionKey(known)]), 'ask');
  t.equal(policy({ rules: [{ tool: 'a', action: 'deny' }] }).decide(known, [permissionKey(known)]), 'deny');
});

void t.test('a rule for all tools is one for tools with odd names too', async (t) => {
  const { decide } = policy({ rules: [{ server: 's', tool: '*', action: 'deny' }], default: 'allow' });
  for (const name of ['a', 'a/b', '.hidden', 'a b']) t.equal(decide(tool('s', name), []), 'deny', name);
});

void t.test('a yes is forgotten when the tool is described otherwise', async (t) => {
  const known = tool('s', 'a');
  const { definition } = known;
  for (const change of [{ description: 'other' }, { inputSchema: { type: 'object' } }, { destructive: true }]) {
    t.equal(policy().decide({ server: 's', definition: { ...definition, ...change } }, [permissionKey(known)]), 'ask');
  }
  const same = { name: 'a', inputSchema: {}, description: '' };
  t.equal(
    policy().decide({ server: 's', definition: same }, [permissionKey(known)]),
    'allow',
    'the order of keys is no change',
  );
});

void t.test('reading a resource is ruled by the server that has it', async (t) => {
  const { decide } = policy({ rules: [{ server: 'docs', tool: 'read_resource', action: 'deny' }] });
  const read = tool('@fairlead', 'read_resource', true);
  t.equal(decide(read, [], { server: 'docs', uri: 'x:y' }), 'deny');
  t.equal(decide(read, [], { server: 'other', uri: 'x:y' }), 'ask');
  t.equal(
    ruledTool(tool('s', 'read_resource'), { server: 'docs' }).server,
    's',
    'a server’s own tool of that name is its own',
  );
});

void t.test(
  'our tools for resources: a rule denies them as ours too, and allows them only by the server',
  async (t) => {
    const ours = { server: '@fairlead', action: 'deny' };
    const docs = { server: 'docs', action: 'allow' };
    const read = tool('@fairlead', 'read_resource', true);
    const args = { server: 'docs', uri: 'x:y' };
    t.equal(policy({ rules: [ours, docs] }).decide(read, [], args), 'deny');
    t.equal(policy({ rules: [docs, ours] }).decide(read, [], args), 'allow', 'the first rule that matches wins');
    t.equal(policy({ rules: [docs, { action: 'deny' }] }).decide(read, [], args), 'allow');
    const rules = [
      { ...ours, action: 'allow' },
      { ...docs, action: 'deny' },
    ];
    t.equal(policy({ rules }).decide(read, [], args), 'deny');
  },
);

void t.test('searching for tools and logging in need nobody’s yes, but a rule can deny them', async (t) => {
  for (const name of ['search_tools', 'connect_docs']) {
    t.equal(policy().decide(tool('@fairlead', name), []), 'allow');
    t.equal(policy({ default: 'deny' }).decide(tool('@fairlead', name), []), 'allow');
    t.equal(policy({ rules: [{ server: '@fairlead', action: 'deny' }] }).decide(tool('@fairlead', name), []), 'deny');
    t.equal(policy().decide(tool('docs', name), []), 'ask', 'a server’s own');
  }
});
