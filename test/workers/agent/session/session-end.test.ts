import t from 'tap';
import { OF, startBench } from '../agent-bench.js';
import { callsTools, says, saysThenWaits } from '../scripted-model.js';

void t.test('a drain lets a running turn finish within its grace, and refuses what is new', async (t) => {
  const bench = await startBench(t);
  const { script, begun, goOn } = saysThenWaits('Once', ' more');
  bench.model.next(script, says('never'));
  await bench.say('first');
  await begun;
  await bench.say('second');
  const drained = bench.request('drain', { graceMs: 15_000 });
  await t.rejects(bench.say('third'), { code: 'ERR_DRAINING' });
  await t.rejects(bench.request('create-session', { user: 'u', session: 's' }), { code: 'ERR_DRAINING' });
  goOn();
  await drained;
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  t.match(
    await bench.store.readSession(OF.session),
    { openTurns: [{ turn: 2 }] },
    'the one in line waits for the restart',
  );
  await bench.stop();
  await bench.start();
  await bench.attach(0);
  t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
});

void t.test('a drain interrupts turns that still run after its grace', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(script);
  await bench.say('first');
  await begun;
  await bench.request('drain', { graceMs: 10 });
  t.match(await bench.turnEnd(1), { stopReason: 'interrupted' });
});

void t.test('a drain does not wait for a person, and the person is asked again after the restart', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]), says('done'));
  await bench.say('go');
  await bench.asked('c-1');
  await bench.request('drain', { graceMs: 600_000 });
  await t.rejects(bench.approve('c-1'), { code: 'ERR_DRAINING' });
  await bench.stop();
  await bench.start();
  t.match((await bench.attach())[0], { pending: [{ callId: 'c-1' }] });
  await bench.approve('c-1');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
});

void t.test('a turn that is suspended while draining goes on waiting in the store', async (t) => {
  const bench = await startBench(t, { approvals: { rules: [{ tool: 'wait', action: 'allow' }] } });
  bench.model.next(
    callsTools([{ id: 'c-1', name: 'wait', input: { key: 'k' } }]),
    callsTools([{ id: 'c-2', name: 'echo', input: { text: 'a' } }]),
  );
  await bench.say('go');
  await bench.box.started('k');
  const drained = bench.request('drain', { graceMs: 600_000 });
  bench.box.finish('k');
  await drained;
  await bench.asked('c-2');
  t.match((await bench.request('get-session', OF)).pending, [{ callId: 'c-2' }]);
  t.notOk(bench.types().includes('turn:end'));
});

void t.test('a tool that is interrupted after the grace leaves the question beside it open', async (t) => {
  const bench = await startBench(t, { approvals: { rules: [{ tool: 'wait', action: 'allow' }] } });
  bench.model.next(
    callsTools([
      { id: 'c-1', name: 'wait', input: { key: 'k' } },
      { id: 'c-2', name: 'echo', input: { text: 'a' } },
    ]),
    says('done'),
  );
  await bench.say('go');
  await bench.box.started('k');
  await bench.request('drain', { graceMs: 10 });
  t.match(await bench.event('tool:result'), { callId: 'c-1', ok: false });
  await bench.stop();
  await bench.start();
  await bench.approve('c-2');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
});

void t.test('a reset in the middle of a drain starts no turn', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(script, says('never'));
  await bench.say('first');
  await begun;
  await bench.say('second');
  const drained = bench.request('drain', { graceMs: 600_000 });
  await bench.request('reset-history', OF);
  await drained;
  t.equal(bench.model.requests.length, 1);
  t.match(await bench.store.readSession(OF.session), { openTurns: [{ turn: 2 }] });
});

void t.test('a session that is opened while draining starts none of its queued turns', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]), script, says('two'));
  await bench.say('first');
  await bench.asked('c-1');
  await bench.say('second');
  await bench.request('drain', { graceMs: 600_000 });
  t.match((await bench.attach(0)).at(-1), { type: 'message:accepted', turn: 2 });
  t.equal(bench.model.requests.length, 1);
  await bench.stop();
  await bench.start();
  await bench.approve('c-1');
  await begun;
  await bench.request('cancel-turn', OF);
  t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
});

void t.test('a thread that ends while a sandbox starts does not wait for it', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  bench.onLease = () => new Promise(() => undefined);
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]));
  await bench.say('go');
  await bench.event('tool:start');
  await bench.request('drain', { graceMs: 0 });
  await bench.stop();
  t.notOk(bench.running);
});

void t.test(
  'a session deleted while its turn runs is gone whole, with its sandbox, and its subscribers are told',
  async (t) => {
    const bench = await startBench(t, { approvals: { default: 'allow' } });
    bench.model.next(callsTools([{ id: 'c-1', name: 'wait', input: { key: 'k' } }]));
    await bench.say('go');
    await bench.box.started('k');
    await bench.request('delete-session', OF);
    await bench.until(
      () => bench.gone.length > 0,
      () => 'nobody was told',
    );
    t.same(bench.gone, [{ session: OF.session, closeCode: 4404, reason: 'the session was deleted' }]);
    t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
    t.same(bench.released, ['box-1', OF.session]);
    await bench.sandboxes[0]!.closed;
    t.equal(await bench.store.readSession(OF.session), undefined);
    t.same(await bench.store.readHistory(OF.session), []);
    await t.rejects(bench.say('hello?'), { code: 'ERR_NO_SUCH_SESSION' });
  },
);

void t.test('messages that come while a session is deleted do not bring it back', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  const call = callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]);
  bench.model.next(call, call, call, call);
  const results = await Promise.allSettled([
    bench.say('0'),
    bench.request('delete-session', OF),
    bench.say('1'),
    bench.say('2'),
    bench.request('delete-session', OF),
  ]);
  t.equal(results[1]?.status, 'fulfilled');
  t.equal(await bench.store.readSession(OF.session), undefined);
  await t.rejects(bench.attach(0), { code: 'ERR_NO_SUCH_SESSION' });
  t.ok(bench.sandboxes.length <= 1, 'no sandbox was started for what is gone');
});

void t.test('the sweep deletes sessions past their time to live and no other', async (t) => {
  const bench = await startBench(t, { store: { sessionTtlMs: 60_000 } });
  const { script, begun, goOn } = saysThenWaits('Once');
  bench.model.next(script);
  const row = (await bench.store.readSession(OF.session))!;
  const old = Date.now() - 61_000;
  await bench.store.createSession({ ...row, session: 'old', lastActiveAt: old });
  await bench.store.createSession({ ...row, session: 'seen', lastActiveAt: old });
  await bench.store.createSession({ ...row, session: 'busy', lastActiveAt: Date.now() });
  await bench.request('submit-message', { user: OF.user, session: 'busy', content: [{ type: 'text', text: 'x' }] });
  await begun;
  await bench.store.touchSession('busy', old);
  await bench.request('attach', { user: OF.user, session: 'seen', resumed: true }); // looking at it is activity
  t.same(await bench.request('sweep-sessions', { limit: 10 }), { deleted: 1 });
  t.same(
    bench.gone.map(({ session }) => session),
    ['old'],
  );
  for (const session of ['busy', 'seen', OF.session]) t.ok(await bench.store.readSession(session), session);
  goOn();
  await bench.turnEnd(1);
});

void t.test('the sweep leaves a running session alone, however long ago it was last used', async (t) => {
  const bench = await startBench(t, { store: { sessionTtlMs: 60_000 }, approvals: { timeoutMs: 60_000 } });
  const { script, begun, goOn } = saysThenWaits('Once');
  bench.model.next(script);
  await bench.say('go');
  await begun;
  await bench.store.touchSession(OF.session, 1); // beyond its time to live, and beyond that of one with an open turn
  t.same(await bench.request('sweep-sessions', { limit: 10 }), { deleted: 0 });
  goOn();
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  await bench.store.touchSession(OF.session, 1);
  t.same(await bench.request('sweep-sessions', { limit: 10 }), { deleted: 1 }, 'it runs no more');
});

void t.test('the sweep leaves a session alone while an MCP client has a request open in it', async (t) => {
  const bench = await startBench(t, { store: { sessionTtlMs: 60_000 } });
  const common = { ...OF, headers: { accept: 'application/json, text/event-stream' }, body: '' };
  const initialize = {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
  };
  await bench.request('mcp-exchange', {
    ...common,
    exchange: 'e-1',
    by: 'id',
    method: 'POST',
    headers: { ...common.headers, 'content-type': 'application/json' },
    body: JSON.stringify(initialize),
  });
  const id = new Map(bench.streamed[0]?.head?.headers).get('mcp-session-id') ?? '';
  const headers = { ...common.headers, 'mcp-session-id': id, 'mcp-protocol-version': '2025-06-18' };
  const listening = bench.request('mcp-exchange', {
    ...common,
    exchange: 'e-2',
    by: { mcpSession: id },
    method: 'GET',
    headers,
  });
  await bench.until(
    () => bench.streamed.some(({ exchange }) => exchange === 'e-2'),
    () => 'the stream did not open',
  );
  await bench.store.touchSession(OF.session, 1);
  t.same(await bench.request('sweep-sessions', { limit: 10 }), { deleted: 0 });
  await bench.request('mcp-abort', { exchange: 'e-2' });
  await listening;
  t.same(await bench.request('sweep-sessions', { limit: 10 }), { deleted: 1 }, 'nobody uses it any more');
});

void t.test('the sweep leaves a session alone that waits for a person', async (t) => {
  const bench = await startBench(t, { store: { sessionTtlMs: 1 } });
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]), says('ok'));
  await bench.say('go');
  await bench.asked('c-1');
  t.same(await bench.request('sweep-sessions', { limit: 10 }), { deleted: 0 });
  await bench.approve('c-1');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  await bench.store.touchSession(OF.session, 1);
  t.same(await bench.request('sweep-sessions', { limit: 10 }), { deleted: 1 }, 'it waits no more');
});

void t.test('a session without a row is missing; one that a thread shares among its sessions is not', async (t) => {
  const bench = await startBench(t);
  const { missing } = await bench.request('missing-sessions', {
    sessions: ['gone', OF.session, 'shared_0', 'shared_1'],
  });
  t.same(missing, ['gone', 'shared_1'], 'there is one thread');
});
