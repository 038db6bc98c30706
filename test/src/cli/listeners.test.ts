import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import t from 'tap';
import { holdersOf, listenersIn, strangersAt } from '../../../src/cli/listeners.js';

/** A line of the table. */
const row = (local: string, state: string): string =>
  `0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1001 0 4711`;

const me = process.geteuid?.() ?? -1;

t.test('who listens on loopback or everywhere is found by account, and who is known is no stranger', async (t) => {
  for (const host of ['127.0.0.1', '0.0.0.0', '127.0.0.9', '::1', '::']) {
    const server = createServer().listen(0, host);
    t.teardown(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    t.same(strangersAt(port, new Set()), [me], host);
    t.same(strangersAt(port, new Set([me])), [], host);
  }
});

t.test('another port, an open connection and an address of the network are not heeded', async (t) => {
  t.same(listenersIn(row('0100007F:0BB8', '0A'), 3000), [1001]);
  t.same(listenersIn(row('0000000000000000FFFF00000100007F:0BB8', '0A'), 3000), [1001]);
  t.same(listenersIn(row('0100007F:0BB9', '0A'), 3000), []);
  t.same(listenersIn(row('0100007F:0BB8', '01'), 3000), []);
  t.same(listenersIn(row('0A0200C0:0BB8', '0A'), 3000), []);
});

t.test('the program that has a port is named, and one that nobody may see by its account', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.match(holdersOf(port), new RegExp(`\\(pid ${process.pid}\\)`));
  const hidden = t.testdir({ net: { tcp: row('0A0200C0:0BB8', '0A') }, 1: { comm: 'init\n' } });
  t.equal(holdersOf(3_000, hidden), 'a program of the account 1001');
  t.equal(holdersOf(3_001, hidden), 'another program');
});
