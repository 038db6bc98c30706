import t from 'tap';
import { deferredServers } from '../../../../../workers/agent/mcp/catalogue/tool-budget.js';

const tools = [
  { server: 'a', tokens: 30 },
  { server: 'b', tokens: 50 },
  { server: 'a', tokens: 30 },
  { server: 'c', tokens: 10 },
];

void t.test('the largest servers are deferred until the others fit', async (t) => {
  t.same([...deferredServers(tools, 120)], []);
  t.same([...deferredServers(tools, 60)], ['a']);
  t.same([...deferredServers(tools, 59)], ['a', 'b']);
  t.same([...deferredServers(tools, 1)], ['a', 'b', 'c']);
  t.same([...deferredServers(tools, 0)], []);
});

void t.test('of two equal servers the later one is deferred', async (t) => {
  t.same(
    [
      ...deferredServers(
        [
          { server: 'x', tokens: 5 },
          { server: 'y', tokens: 5 },
        ],
        5,
      ),
    ],
    ['y'],
  );
});
