/** Each entry that can never match is warned of by its place, and none that can. */
import t from 'tap';
import { warningsOf } from '../../../src/boot/config-warnings.js';
import { parseConfig } from '../../../src/shared/config.js';

const mcpServers = { docs: { url: 'https://docs.example/mcp' }, 'db-1': { url: 'https://db.example/mcp' } };

function warned(json: object): string[] {
  return warningsOf(parseConfig({ mcpServers, ...json }, { FAIRLEAD_DATA: '/tmp/nowhere' }));
}
const ofRules = (...rules: object[]): string[] =>
  warned({ approvals: { rules: rules.map((rule) => ({ action: 'allow', ...rule })) } });

t.test('a rule for a server that is not configured is warned of, most of all one that denies', async (t) => {
  t.match(ofRules({ server: 'doc', action: 'deny' }), [
    /^approvals\.rules\.0 denies nothing: no server of mcpServers is named "doc"; there is docs, db-1$/,
  ]);
  t.match(ofRules({ server: 'docs' }, { server: 'bd-*' }), [/^approvals\.rules\.1 never matches: .*"bd-\*"/]);
  t.same(ofRules({ server: '@fairlead', action: 'deny' }, { server: 'db-*' }, { server: '{docs,other}' }), []);
  t.match(warned({ prices: { tools: [{ server: 'doc', amount: 1 }] } }), [/^prices\.tools\.0 prices nothing/]);
});

t.test('a rule, a quota and a budget for a user whom there cannot be are warned of', async (t) => {
  t.match(ofRules({ user: ['ada', 'a b'] }), [/^approvals\.rules\.0 never matches the user "a b": a user is/]);
  t.match(ofRules({ user: 'team/*' }), [/"team\/\*"/]);
  t.same(ofRules({ user: 'auth0|*' }, { user: ['a+b@x', 'ci-*'] }), []);
  const quota = { maxSessions: 3 };
  t.match(warned({ quotas: { users: { 'a/b': quota, ada: quota }, groups: { 'x\n': quota, 'all staff': quota } } }), [
    /^quotas\.users\.a\/b limits nobody: a user is/,
    /^quotas\.groups\.x\n limits nobody: a group is/,
  ]);
  const budget = { of: 'user', per: 'day', tokens: 1 };
  t.match(warned({ budgets: [{ ...budget, name: 'a b' }] }), [/^budgets\.0 never matches the user "a b"/]);
  t.same(
    warned({
      budgets: [
        { ...budget, name: '{a,b}*' },
        { ...budget, of: 'group', name: 'all staff' },
      ],
    }),
    [],
  );
});

t.test('a rule behind one that matches all that it does is warned of', async (t) => {
  t.match(ofRules({}, { server: 'docs', action: 'deny' }), [
    /^approvals\.rules\.1 never matches: approvals\.rules\.0 stands/,
  ]);
  t.match(ofRules({ server: 'docs', group: ['a', 'b'] }, { server: 'docs', tool: 'x', group: 'a' }), [/rules\.1/]);
  t.same(ofRules({ server: 'docs' }, { server: 'docs', action: 'deny' }), [], 'it denies our own tools, too');
  t.same(ofRules({ args: { required: ['x'] } }, {}), []);
  t.same(ofRules({ role: 'admin' }, { role: ['admin', 'user'] }, { server: 'docs' }, {}), []);
});

t.test('a budget behind one that matches all that it does is warned of', async (t) => {
  const day = { of: 'user', per: 'day', tokens: 1 };
  t.match(warned({ budgets: [day, { ...day, name: 'ci-*' }] }), [
    /^budgets\.1 never holds: budgets\.0 .*exception first$/,
  ]);
  t.same(warned({ budgets: [{ ...day, name: 'ci-*' }, day, { ...day, per: 'month' }, { ...day, of: 'group' }] }), []);
});
