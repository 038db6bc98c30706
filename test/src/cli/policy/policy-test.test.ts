import { join } from 'node:path';
import t from 'tap';
import { checkArgs } from '../../../../src/cli/policy/check-args.js';
import { policyText, testPolicy, type PolicyAnswer } from '../../../../src/cli/policy/policy-test.js';
import { colorsFor } from '../../../../src/cli/report.js';
import { parseConfig } from '../../../../src/shared/config.js';
import { runCli } from '../spawn-cli.js';

const starts = { type: 'object', properties: { sql: { type: 'string', pattern: '^SELECT ' } }, required: ['sql'] };
const json = {
  auth: {
    tokens: [
      { user: 'ada', sha256: '0'.repeat(64), groups: ['analysts'] },
      { user: 'two', sha256: '1'.repeat(64), groups: ['analysts'] },
      { user: 'two', sha256: '2'.repeat(64), role: 'admin' },
    ],
  },
  mcpServers: {
    warehouse: { image: 'x', tools: { deny: ['drop_*'] } },
    lab: { image: 'y', groups: ['research'] },
  },
  approvals: {
    rules: [
      { group: 'analysts', server: 'warehouse', tool: 'query', args: starts, action: 'allow' },
      { user: 'eve', action: 'deny' },
      { readOnly: true, action: 'allow' },
    ],
  },
};
const config = parseConfig(json, {});
const ada = { user: 'ada', server: 'warehouse', tool: 'query', args: { sql: 'SELECT 1' }, readOnly: false };
const test = (more: object, made = config): Promise<PolicyAnswer> => testPolicy(made, { ...ada, ...more }, checkArgs);

t.test('it says what would happen, which rule says so, and why the others do not', async (t) => {
  t.match(await test({}), { action: 'allow', rule: 0, by: 'approvals.rules.0', role: 'user', groups: ['analysts'] });
  t.same(await test({ args: { sql: 'DELETE' } }), {
    action: 'ask',
    by: 'approvals.default',
    user: 'ada',
    role: 'user',
    groups: ['analysts'],
    looked: [
      { rule: 0, matches: false, why: 'args' },
      { rule: 1, matches: false, why: 'user' },
      { rule: 2, matches: false, why: 'readOnly' },
    ],
  });
  t.match(await test({ user: 'eve' }), { action: 'deny', rule: 1, looked: [{ why: 'group' }, { matches: true }] });
  t.match(await test({ groups: ['Analysts'] }), { action: 'ask' }, 'the command line outweighs the configuration');
  t.match(await test({ role: 'admin' }), { action: 'ask', groups: [] });
  t.match(await test({ server: '@fairlead', tool: 'search_tools' }), { action: 'allow' });
});

t.test(
  'a server that is kept for others, and a tool that is filtered out, are denied by what hides them',
  async (t) => {
    t.match(await test({ server: 'lab' }), { action: 'deny', by: 'mcpServers.lab.groups' });
    t.match(await test({ server: 'lab', groups: ['research'] }), { action: 'ask' });
    t.match(await test({ tool: 'drop_all' }), { action: 'deny', by: 'mcpServers.warehouse.tools' });
    await t.rejects(test({ server: 'nowhere' }), { code: 'ERR_NOT_FOUND' });
  },
);

t.test('a tool that its server’s pins do not name is asked for or denied, whatever a rule says', async (t) => {
  const pins = { warehouse: { look: 'a'.repeat(16).concat('.', 'b'.repeat(16)) } };
  const ask = (more: object, mcp: object = {}, filed = pins): Promise<PolicyAnswer> =>
    testPolicy(parseConfig({ ...json, mcp }, {}), { ...ada, ...more }, checkArgs, filed);
  const asked = await ask({});
  t.match(asked, { action: 'ask', by: 'mcp.pins', pin: 'new', looked: [{ rule: 0, matches: true }] });
  t.match(policyText(asked, colorsFor({})), /^ask: mcp\.pins\n[^]*pins do not name this tool/);
  t.match(await ask({}, { pins: { onChange: 'refuse' } }), { action: 'deny', by: 'mcp.pins', pin: 'new' });
  t.match(await ask({ user: 'eve' }), { action: 'deny', by: 'approvals.rules.1', pin: 'new' }, 'a stricter rule holds');
  const named = await ask({ tool: 'look', readOnly: false });
  t.match(named, { action: 'ask', by: 'approvals.default', pin: 'named' });
  t.match(policyText(named, colorsFor({})), /when the tool has changed since/);
  t.notOk('pin' in (await ask({}, {}, {} as typeof pins)));
});

t.test('a name that no user can have is told, and not judged as somebody without rights', async (t) => {
  await t.rejects(test({ user: 'a/b' }), { code: 'ERR_CONFIG', message: /--user a\/b: a user is 1–128/ });
});

t.test('a user whose tokens differ must be told with --role and --group', async (t) => {
  await t.rejects(test({ user: 'two' }), { code: 'ERR_CONFIG', message: /--role and --group/ });
  t.match(await test({ user: 'two', groups: ['analysts'] }), { action: 'allow' });
});

t.test('a pattern that would take for ever is given up after a second, and allows nothing', async (t) => {
  const slow = { type: 'object', properties: { sql: { type: 'string', pattern: '^(a+)+$' } }, required: ['sql'] };
  const made = parseConfig({ ...json, approvals: { rules: [{ args: slow, action: 'allow' }] } }, {});
  const answer = await test({ args: { sql: `${'a'.repeat(40)}!` } }, made);
  t.match(answer, { action: 'ask', looked: [{ why: 'args-unknown' }] });
  t.match(policyText(answer, colorsFor({})), /^ask: approvals\.default\n.*ada.*\n.*cannot be checked in time/);
});

t.test('as a command: words or JSON, from the configuration alone', async (t) => {
  const pins = JSON.stringify({ version: 1, servers: { warehouse: {} } });
  const dir = t.testdir({ 'fairlead.json': JSON.stringify(json), data: { 'mcp-pins.json': pins } });
  const file = join(dir, 'fairlead.json');
  const env = { FAIRLEAD_CONFIG: file };
  const call = ['policy', 'test', '--user', 'ada', '--server', 'warehouse', '--tool', 'query'];
  const words = await runCli(t, [...call, '--args', '{"sql":"SELECT 1"}'], { env });
  t.match(words, {
    code: 0,
    stdout: /^allow: approvals\.rules\.0\n {2}ada, role user, groups analysts\n {2}rules\.0 {2}matches/,
  });
  const pinned = await runCli(t, [...call, '--args', '{"sql":"SELECT 1"}'], {
    env: { ...env, FAIRLEAD_DATA: join(dir, 'data') },
  });
  t.match(pinned, { code: 0, stdout: /^ask: mcp\.pins\n/ });
  const asJson = await runCli(t, [...call, '--group', 'a', '--group', 'b', '--role', 'admin', '--json'], { env });
  t.match(JSON.parse(asJson.stdout), { action: 'ask', role: 'admin', groups: ['a', 'b'] });
  for (const wrong of [
    ['--args', '[1]'],
    ['--args', '{'],
    ['--args', 'null'],
    ['--role', 'root'],
  ]) {
    t.match(await runCli(t, [...call, ...wrong], { env }), { code: 2 }, wrong.join(' '));
  }
  t.match(await runCli(t, ['policy', 'test', '--user', 'ada', '--server', 'x', '--tool', 'y'], { env }), {
    code: 1,
    stderr: /no MCP server x/,
  });
});
