import pino from 'pino';
import t from 'tap';
import { parseConfig } from '../../../../../src/shared/config.js';
import {
  createPolicy,
  ruledTool,
  permissionKey,
  type Action,
  type Decision,
} from '../../../../../workers/agent/mcp/calls/policy.js';
import type { Standing } from '../../../../../src/shared/person.js';
import type { KnownTool } from '../../../../../workers/agent/mcp/catalogue/tool-names.js';
import { ForeignSchemas } from '../../../../../workers/agent/schema/foreign-schemas.js';

// The deadlines are those of a machine that is full.
const schemas = new ForeignSchemas({ log: pino({ level: 'silent' }), times: { checkMs: 30_000, startMs: 60_000 } });
t.teardown(() => schemas.close());

type Args = Record<string, unknown>;

interface Decider {
  decide: (tool: KnownTool, allowed: string[], args?: Args) => Promise<Action>;
  decideFor: (user: string, who: Standing | undefined, tool: KnownTool, args?: Args) => Promise<Decision>;
}

function policy(approvals: Args = {}): Decider {
  const mcpServers = { s: { url: 'https://s.example', trustHints: true }, other: { image: 'other' } };
  const made = createPolicy(parseConfig({ approvals, mcpServers }, {}), schemas);
  return {
    decide: async (known, allowed, args) => (await made.decide(known, { user: 'ada', allowed }, args)).action,
    decideFor: (user, who, known, args) => made.decide(known, { user, who, allowed: [] }, args),
  };
}

function tool(server: string, name: string, readOnly?: boolean): KnownTool {
  const definition = { name, description: '', inputSchema: {}, ...(readOnly === undefined ? {} : { readOnly }) };
  return { server, definition };
}

void t.test('without rules each tool is asked for, or what the default says', async (t) => {
  t.equal(await policy().decide(tool('s', 'a'), []), 'ask');
  t.equal(await policy({ default: 'deny' }).decide(tool('s', 'a'), []), 'deny');
});

void t.test('the first rule that matches wins', async (t) => {
  const rules = [
    { server: 'work*', tool: 'read_*', action: 'allow' },
    { server: 'work*', action: 'deny' },
    { tool: '{a,b}', action: 'allow' },
  ];
  const { decide } = policy({ rules });
  t.equal(await decide(tool('workspace', 'read_file'), []), 'allow');
  t.equal(await decide(tool('workspace', 'write_file'), []), 'deny');
  t.equal(await decide(tool('other', 'b'), []), 'allow');
  t.equal(await decide(tool('other', 'read_file'), []), 'ask');
});

void t.test('a rule for read-only tools takes only those that say so', async (t) => {
  const { decide } = policy({
    rules: [
      { readOnly: true, action: 'allow' },
      { readOnly: false, action: 'deny' },
    ],
  });
  t.equal(await decide(tool('s', 'a', true), []), 'allow');
  t.equal(await decide(tool('s', 'a', false), []), 'deny');
  t.equal(await decide(tool('s', 'a'), []), 'deny', 'silence is no promise');
});

void t.test('a server’s word that it only reads counts where the operator trusts its hints', async (t) => {
  const rules = [
    { readOnly: true, action: 'allow' },
    { readOnly: false, action: 'ask' },
  ];
  t.equal(await policy({ rules, default: 'allow' }).decide(tool('s', 'a', true), []), 'allow');
  t.equal(
    await policy({ rules, default: 'allow' }).decide(tool('other', 'a', true), []),
    'ask',
    'counts as one that writes',
  );
  t.equal(await policy({ rules: [{ readOnly: true, action: 'allow' }] }).decide(tool('nobody', 'a', true), []), 'ask');
  const writes = { rules: [{ readOnly: false, action: 'allow' }] };
  t.equal(await policy(writes).decide(tool('s', 'a'), []), 'allow');
  t.equal(await policy(writes).decide(tool('other', 'a'), []), 'ask', 'no rule with a hint allows a tool of theirs');
  t.equal(await policy({ rules }).decide(tool('@fairlead', 'list_resources', true), []), 'allow', 'our own word');
});

void t.test('what the person allowed turns an ask into a yes, never a deny', async (t) => {
  const known = tool('s', 'a');
  t.equal(await policy().decide(known, [permissionKey(known)]), 'allow');
  t.equal(await policy().decide(tool('other', 'a'), [permissionKey(known)]), 'ask');
  t.equal(await policy({ rules: [{ tool: 'a', action: 'deny' }] }).decide(known, [permissionKey(known)]), 'deny');
});

void t.test('a rule for all tools is one for tools with odd names too', async (t) => {
  const { decide } = policy({ rules: [{ server: 's', tool: '*', action: 'deny' }], default: 'allow' });
  for (const name of ['a', 'a/b', '.hidden', 'a b']) t.equal(await decide(tool('s', name), []), 'deny', name);
});

void t.test('a yes is forgotten when the tool is described otherwise', async (t) => {
  const known = tool('s', 'a');
  const { definition } = known;
  for (const change of [{ description: 'other' }, { inputSchema: { type: 'object' } }, { destructive: true }]) {
    t.equal(
      await policy().decide({ server: 's', definition: { ...definition, ...change } }, [permissionKey(known)]),
      'ask',
    );
  }
  const same = { name: 'a', inputSchema: {}, description: '' };
  t.equal(
    await policy().decide({ server: 's', definition: same }, [permissionKey(known)]),
    'allow',
    'the order of keys is no change',
  );
});

void t.test('reading a resource is ruled by the server that has it', async (t) => {
  const { decide } = policy({ rules: [{ server: 'docs', tool: 'read_resource', action: 'deny' }] });
  const read = tool('@fairlead', 'read_resource', true);
  t.equal(await decide(read, [], { server: 'docs', uri: 'x:y' }), 'deny');
  t.equal(await decide(read, [], { server: 'other', uri: 'x:y' }), 'ask');
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
    t.equal(await policy({ rules: [ours, docs] }).decide(read, [], args), 'deny');
    t.equal(await policy({ rules: [docs, ours] }).decide(read, [], args), 'allow', 'the first rule that matches wins');
    t.equal(await policy({ rules: [docs, { action: 'deny' }] }).decide(read, [], args), 'allow');
    const rules = [
      { ...ours, action: 'allow' },
      { ...docs, action: 'deny' },
    ];
    t.equal(await policy({ rules }).decide(read, [], args), 'deny');
  },
);

void t.test('searching for tools and logging in need nobody’s yes, but a rule can deny them', async (t) => {
  for (const name of ['search_tools', 'connect_docs']) {
    t.equal(await policy().decide(tool('@fairlead', name), []), 'allow');
    t.equal(await policy({ default: 'deny' }).decide(tool('@fairlead', name), []), 'allow');
    t.equal(
      await policy({ rules: [{ server: '@fairlead', action: 'deny' }] }).decide(tool('@fairlead', name), []),
      'deny',
    );
    t.equal(await policy().decide(tool('docs', name), []), 'ask', 'a server’s own');
  }
});

const analyst: Standing = { role: 'user', groups: ['staff', 'analysts'] };
const query = tool('s', 'query');
const sql = (text: unknown): Args => ({ sql: text });
const starts = (pattern: string): Args => ({
  type: 'object',
  properties: { sql: { type: 'string', pattern } },
  required: ['sql'],
});

void t.test('a rule for a group allows its members what it says of the arguments, and asks for the rest', async (t) => {
  const rule = { group: 'analysts', server: 's', tool: 'query', args: starts('^SELECT '), action: 'allow' };
  const { decideFor } = policy({ rules: [rule] });
  t.same(await decideFor('ada', analyst, query, sql('SELECT 1')), { action: 'allow', by: { rule: 0 } });
  t.same(await decideFor('ada', analyst, query, sql('DELETE FROM t')), { action: 'ask', by: 'default' });
  t.same(await decideFor('bob', { ...analyst, groups: ['staff'] }, query, sql('SELECT 1')), {
    action: 'ask',
    by: 'default',
  });
  for (const args of [{}, sql(null), sql(7), sql(['SELECT 1']), sql(''), { SQL: 'SELECT 1' }]) {
    t.match(await decideFor('ada', analyst, query, args), { action: 'ask' }, JSON.stringify(args));
  }
  t.match(await decideFor('ada', undefined, query, sql('SELECT 1')), { action: 'ask' }, 'of a row from before groups');
});

void t.test('a rule names users with *, and groups and roles exactly; one of a list is enough', async (t) => {
  const { decideFor } = policy({
    rules: [
      { user: '*@contractors.example', action: 'deny' },
      { user: ['ada', 'bob'], tool: 'a', action: 'allow' },
      { group: ['ops', '/team/data [eu]'], tool: 'b', action: 'allow' },
      { role: ['operator', 'admin'], tool: 'c', action: 'allow' },
      { role: 'user', tool: 'c', action: 'deny' },
    ],
  });
  const of = async (user: string, who: Standing | undefined, name: string): Promise<Action> =>
    (await decideFor(user, who, tool('s', name))).action;
  const nobody: Standing = { role: 'user', groups: [] };
  t.equal(await of('eve@contractors.example', { role: 'admin', groups: ['ops'] }, 'b'), 'deny');
  t.equal(await of('bob', nobody, 'a'), 'allow');
  t.equal(await of('bobby', nobody, 'a'), 'ask');
  t.equal(await of('eve', { ...nobody, groups: ['x', '/team/data [eu]'] }, 'b'), 'allow');
  t.equal(await of('eve', { ...nobody, groups: ['/team/data e'] }, 'b'), 'ask', 'a group is no pattern');
  t.equal(await of('eve', { role: 'operator', groups: [] }, 'c'), 'allow');
  t.equal(await of('eve', undefined, 'c'), 'deny', 'without a role it is a user');
});

async function isMeant(pattern: string, user: string): Promise<boolean> {
  const { decideFor } = policy({ rules: [{ user: pattern, action: 'allow' }] });
  return (await decideFor(user, undefined, query)).action === 'allow';
}

void t.test('in the name of a user only * is a pattern, as issuers put much else into it', async (t) => {
  for (const name of ['auth0|7', 'a+b@x.example', 'a.b', 'x-y_z']) t.equal(await isMeant(name, name), true, name);
  for (const [pattern, user] of [
    ['auth0|7', 'auth0'],
    ['auth0|7', '7'],
    ['a.b', 'axb'],
    ['a+', 'aa'],
    ['a*a', 'a'],
    ['*b*c', 'acb'],
    ['*b*b', 'ab'],
    ['{a,b}', 'a'],
    ['!a', 'b'],
  ] as const) {
    t.equal(await isMeant(pattern, user), false, `${pattern} is not ${user}`);
  }
  for (const user of ['a', 'aa', 'axa']) t.equal(await isMeant('a*', user), true, user);
  t.equal(await isMeant('auth0|*@x.*', 'auth0|ada@x.example'), true);
  t.equal(await isMeant(`${'*a'.repeat(60)}b`, 'a'.repeat(128)), false, 'in no time');
});

void t.test('names that differ in case are different names', async (t) => {
  const { decideFor } = policy({
    rules: [
      { user: 'ada', tool: 'a', action: 'allow' },
      { group: 'analysts', tool: 'b', action: 'allow' },
    ],
  });
  const who: Standing = { role: 'user', groups: ['Analysts'] };
  t.match(await decideFor('Ada', who, tool('s', 'a')), { action: 'ask' });
  t.match(await decideFor('ada', who, tool('s', 'A')), { action: 'ask' });
  t.match(await decideFor('ada', who, tool('s', 'b')), { action: 'ask' });
});

void t.test('a group that no rule names changes nothing', async (t) => {
  const { decideFor } = policy({ rules: [{ group: 'analysts', action: 'allow' }] });
  t.same(await decideFor('ada', { role: 'user', groups: ['strangers'] }, query), { action: 'ask', by: 'default' });
});

void t.test(
  'arguments that cannot be checked in time get the stricter of both outcomes, and hold nothing',
  async (t) => {
    const quick = new ForeignSchemas({ log: pino({ level: 'silent' }), times: { checkMs: 150, pauseMs: 1 } });
    t.teardown(() => quick.close());
    const slow = { sql: `${'a'.repeat(40)}!` };
    const outcome = async (...rules: Args[]): Promise<Decision> => {
      const made = createPolicy(parseConfig({ approvals: { rules } }, {}), quick);
      return made.decide(query, { user: 'ada', allowed: [] }, slow);
    };
    const args = starts('^(a+)+$');
    t.same(await outcome({ args, action: 'allow' }), { action: 'ask', by: 'default' });
    t.same(await outcome({ args, action: 'deny' }), { action: 'deny', by: { rule: 0 } });
    t.same(await outcome({ args, action: 'deny' }, { action: 'allow' }), { action: 'deny', by: { rule: 0 } });
    t.same(await outcome({ args, action: 'ask' }, { action: 'allow' }), { action: 'ask', by: { rule: 0 } });
    t.same(await outcome({ args, action: 'ask' }, { action: 'deny' }), { action: 'deny', by: { rule: 1 } });
    t.same(await outcome({ args, action: 'allow' }, { action: 'allow' }), { action: 'allow', by: { rule: 1 } });
  },
);

void t.test('args that refer to themselves without an end allow nothing', async (t) => {
  const { decideFor } = policy({ rules: [{ args: { allOf: [{ $ref: '#' }] }, action: 'allow' }] });
  t.same(await decideFor('ada', undefined, query, sql('SELECT 1')), { action: 'ask', by: 'default' });
});
