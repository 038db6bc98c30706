import t from 'tap';
import { buildToolSet } from '../../../../../workers/agent/mcp/catalogue/tool-names.js';
import type { ToolDefinition } from '../../../../../src/shared/tool-definition.js';

const tool = (name: string): ToolDefinition => ({ name, description: `does ${name}`, inputSchema: { type: 'object' } });
const names = (catalogue: Record<string, ToolDefinition[]>): string[] =>
  buildToolSet(catalogue).tools.map(({ name }) => name);

function nameOf(tools: ToolDefinition[], own: string): string | undefined {
  return buildToolSet({ s: tools }).known.find(({ definition }) => definition.name === own)?.model.name;
}

void t.test('tools keep their names, in the catalogue’s order of servers and by name in each', async (t) => {
  const set = buildToolSet({ b: [tool('z'), tool('a')], a: [tool('m')] });
  t.same(set.tools, [
    { name: 'a', description: 'does a', inputSchema: { type: 'object' } },
    { name: 'z', description: 'does z', inputSchema: { type: 'object' } },
    { name: 'm', description: 'does m', inputSchema: { type: 'object' } },
  ]);
  t.match(set.find('m'), { server: 'a', definition: { name: 'm' } });
});

void t.test('a name that two servers have is said with its server', async (t) => {
  const set = buildToolSet({ one: [tool('read'), tool('x')], two: [tool('read')] });
  t.same(
    set.tools.map(({ name }) => name),
    ['one__read', 'x', 'two__read'],
  );
  t.match(set.find('two__read'), { server: 'two', definition: { name: 'read' } });
  t.equal(set.find('read'), undefined);
});

void t.test('names fit the Messages API whatever they are, and stay apart', async (t) => {
  const long = 'n'.repeat(80);
  const all = names({ s: [tool('a.b'), tool('a/b'), tool('a_b'), tool(`${long}1`), tool(`${long}2`), tool('')] });
  for (const name of all) t.match(name, /^[a-zA-Z0-9_-]{1,64}$/);
  t.equal(new Set(all).size, all.length);
  t.ok(all.includes('s__a_b'), 'the tool whose name needs no change has it');
});

void t.test('names that a model makes up find nothing', async (t) => {
  const set = buildToolSet({ s: [tool('a')] });
  for (const name of ['', 'b', 'toString', '__proto__']) t.equal(set.find(name), undefined);
  t.same(names({}), []);
});

void t.test('a name does not depend on the order of tools, nor on one that is not in its way', async (t) => {
  const one = [tool('a.b'), tool('a/b'), tool('c')];
  const two = [tool('d'), tool('a/b'), tool('a.b')];
  t.equal(nameOf(one, 'a.b'), nameOf(two, 'a.b'));
  t.equal(nameOf(one, 'a/b'), nameOf(two, 'a/b'));
  t.not(nameOf(one, 'a.b'), nameOf(one, 'a/b'));
});

void t.test('no two tools get one name, however they are called', async (t) => {
  const all = names({ a: [tool('b__c'), tool('x')], a__b: [tool('c'), tool('x')], c: [tool('a__x'), tool('x')] });
  t.equal(new Set(all).size, 6);
});

void t.test('always and never: the server’s name before each, or before none', async (t) => {
  const catalogue = { one: [tool('read'), tool('x')], two: [tool('read')] };
  const always = buildToolSet(catalogue, { mode: 'always' });
  t.same(
    always.tools.map(({ name }) => name),
    ['one__read', 'one__x', 'two__read'],
  );
  const never = buildToolSet(catalogue, { mode: 'never' });
  t.same(
    never.tools.map(({ name }) => name),
    ['read', 'x'],
  );
  t.match(never.find('read'), { server: 'one' });
  t.equal(never.of('two', 'read'), undefined, 'one that has no name cannot be called');
});

void t.test('no server’s tool gets the name of one of ours', async (t) => {
  t.same(names({ s: [tool('search_tools'), tool('read_resource'), tool('a')] }), [
    'a',
    's__read_resource',
    's__search_tools',
  ]);
});

void t.test(
  'tools of a server that is down are hidden, keep their names, and say why when they are called',
  async (t) => {
    const catalogue = { one: [tool('read')], two: [tool('read'), tool('b')] };
    const set = buildToolSet(catalogue, { notes: { two: { down: 'gone fishing' } } });
    t.same(
      set.tools.map(({ name }) => name),
      ['one__read'],
    );
    t.match(set.find('two__read'), { server: 'two', gone: 'gone fishing' });
    t.same(
      set.known.map(({ server }) => server),
      ['one'],
    );
  },
);

void t.test('tools that the configuration does not allow are not there', async (t) => {
  const set = buildToolSet(
    { s: [tool('a'), tool('b')] },
    { isAllowed: (server, name) => `${server}/${name}` !== 's/b' },
  );
  t.same(
    set.tools.map(({ name }) => name),
    ['a'],
  );
  t.equal(set.find('b'), undefined);
  t.equal(set.of('s', 'b'), undefined);
});

void t.test(
  'over the budget the largest servers are deferred behind a search tool, and found tools come back',
  async (t) => {
    const many = Array.from({ length: 50 }, (_, index) => tool(`large_${index}`));
    const set = buildToolSet({ large: many, small: [tool('s')] }, { toolTokens: 300 });
    t.same(
      set.tools.map(({ name }) => name),
      ['s', 'search_tools'],
    );
    t.match(set.tools[1]?.description, 'large (50)');
    t.equal(set.known.length, 51);
    t.match(set.find('large_7'), { deferred: true });
    const found = set.toolsWith(['large_7', 's', 'invented', 'large_7']);
    t.same(
      found.map(({ name }) => name),
      ['s', 'search_tools', 'large_7'],
    );
    t.same(buildToolSet({ large: many }, { toolTokens: 0 }).tools.length, 50, '0 is no limit');
  },
);

void t.test(
  'two tools to read resources come with servers that have some, and one to log in where that is due',
  async (t) => {
    const set = buildToolSet({}, { notes: { a: { resources: true }, b: { perUser: true, needsLogin: true } } });
    t.same(
      set.tools.map(({ name }) => name),
      ['list_resources', 'read_resource', 'connect_b'],
    );
    t.match(set.find('read_resource'), { server: '@fairlead' });
    const down = buildToolSet({}, { notes: { a: { resources: true, down: 'away' } } });
    t.same(down.tools, []);
  },
);

void t.test('a session with a sandbox of its own is offered to restart it, one without is not', async (t) => {
  const own = buildToolSet({ box: [tool('a')] }, { inSandbox: (server) => server === 'box' });
  t.ok(own.find('restart_sandbox'));
  t.notOk(buildToolSet({ box: [tool('a')] }).find('restart_sandbox'));
});
