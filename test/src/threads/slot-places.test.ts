import t from 'tap';
import { parseConfig } from '../../../src/shared/config.js';
import type { McpServerConfigs } from '../../../src/shared/config-mcp.js';
import { SlotPlaces } from '../../../src/threads/slot-places.js';

const servers = (...names: string[]): McpServerConfigs =>
  parseConfig({ mcpServers: Object.fromEntries(names.map((name) => [name, { url: 'https://a.example' }])) }, {})
    .mcpServers;

t.test('a server keeps its place over reloads, and no two have the same', async (t) => {
  const places = new SlotPlaces(servers('a', 'b'), 2);
  t.same(places.of(servers('a', 'b')), { a: 0, b: 1 });
  t.same(places.of(servers('c', 'b')), { c: 2, b: 1 });
  t.same(places.of(servers('a', 'b', 'c')), { a: 0, b: 1, c: 2 }, 'also one that was gone');
});

t.test('when all places are given, one of a server that is gone goes to a new one', async (t) => {
  const places = new SlotPlaces(servers(), 1);
  const names = Array.from({ length: 64 }, (_, index) => `s${index}`);
  t.equal(Object.keys(places.of(servers(...names))).length, 64);
  const fewer = names.slice(1);
  t.equal(places.of(servers(...fewer, 'new'))['new'], 0);
  const one = places.of(servers(...fewer, 'new', 'more'));
  t.equal(one['more'], undefined, 'more servers than places: this one is counted by each thread alone');
  t.equal(new Set(Object.values(one)).size, 64);
});
