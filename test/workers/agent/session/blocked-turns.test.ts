/** What runs and what waits for a user on an agent thread ends when they are blocked. */
import t from 'tap';
import { OF, startBench } from '../agent-bench.js';
import { callsTools, says } from '../scripted-model.js';

const BOB = { user: 'user-2', session: 'session-bob' };
const text = [{ type: 'text' as const, text: 'go' }];
const asks = (id: string) => callsTools([{ id, name: 'echo', input: { text: 'a' } }]);

void t.test(
  'a turn that waits in the store for a yes, and those in line behind it, end at the block; nobody else’s does',
  async (t) => {
    const bench = await startBench(t);
    await bench.request('create-session', BOB);
    bench.model.next(asks('c-1'), asks('c-2'));
    await bench.say('go');
    await bench.asked('c-1');
    await bench.say('and then');
    await bench.request('submit-message', { ...BOB, content: text });
    await bench.asked('c-2');
    await bench.stop();
    await bench.start(); // what waits is in the store alone
    t.same(await bench.request('set-blocked', { users: [OF.user] }), { left: 0 });
    t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
    t.match(await bench.turnEnd(2), { stopReason: 'cancelled' });
    const row = await bench.store.readSession(OF.session);
    t.same(row?.openTurns, [], 'as soon as the block is answered');
    t.match((await bench.request('get-session', BOB)).pending, [{ callId: 'c-2' }]);
    t.equal(bench.model.requests.length, 2, 'the turn in line asked nothing');
  },
);

void t.test('a block that is told again, or taken back, stops nothing more', async (t) => {
  const bench = await startBench(t);
  await bench.request('set-blocked', { users: [OF.user] });
  t.same(await bench.request('set-blocked', { users: [OF.user] }), { left: 0 });
  await t.rejects(bench.say('go'), { code: 'ERR_BLOCKED' });
  t.same(await bench.request('set-blocked', { users: [] }), { left: 0 });
  bench.model.next(says('hello'));
  await bench.say('go');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
});

void t.test('a call of an MCP client ends when its user is blocked, though its client stays connected', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const params = { name: 'wait', arguments: { key: 'k' }, _meta };
  const calling = bench.request('mcp-exchange', {
    ...OF,
    exchange: 'e-1',
    by: 'id',
    method: 'POST',
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'wait',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
  });
  await bench.box.started('k');
  await bench.request('set-blocked', { users: ['somebody-else'] });
  t.same(bench.box.cancelled, []);
  await bench.request('set-blocked', { users: [OF.user] });
  await calling.catch(() => undefined); // its client hears nothing more
  await bench.box.gate('k').promise;
  t.same(bench.box.cancelled, ['k']);
});
