import t from 'tap';
import { buildToolSet } from '../../../../workers/agent/mcp/tool-names.js';
import type { ToolDefinition } from '../../../../src/tool-definition.js';

const tool = (name: string): ToolDefinition => ({ name, description: `does ${name}`, inputSchema: { type: 'object' } });
const names = (catalogue: Record<string, ToolDefinition[]>): string[] =>
  buildToolSet(catalogue).tools.map(({ name }) => name);

void t.test('tools keep their names and the catalogue’s order', async (t) => {
  const set = buildToolSet({ b: [tool('z'), tool('a')], a: [tool('m')] });
  t.same(set.tools, [
    { name: 'z', description: 'does z', inputSchema: { type: 'object' } },
    { name: 'a', description: 'does a', inputSchema: { type: 'object' } },
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
  t.same(all.slice(0, 3), ['a_b', 'a_b_2', 'a_b_3']);
});

void t.test('names that a model makes up find nothing', async (t) => {
  const set = buildToolSet({ s: [tool('a')] });
  for (const name of ['', 'b', 'toString', '__proto__']) t.equal(set.find(name), undefined);
  t.same(names({}), []);
});
