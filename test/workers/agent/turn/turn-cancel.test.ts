import t, { type Test } from 'tap';
import { repairTranscript } from '../../../../workers/agent/model/repair-transcript.js';
import { OF, startBench, type AgentBench } from '../agent-bench.js';
import { callsTools, says, saysThenWaits } from '../scripted-model.js';

/** The stored transcript needs no repair: every call has its result. */
async function checkValid(t: Pick<Test, 'notOk'>, bench: AgentBench): Promise<void> {
  t.notOk(repairTranscript(await bench.store.readHistory(OF.session)).repaired, 'the transcript is valid');
}

void t.test('a turn cancelled while it streams keeps what was read and ends as cancelled', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once upon');
  bench.model.next(script, says('hello again'));
  await bench.say('tell me');
  await begun;
  await bench.request('cancel-turn', OF);
  t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
  t.match(await bench.event('text'), { text: 'Once upon' });
  await checkValid(t, bench);
  await bench.say('again');
  t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
  t.same(bench.events.filter(({ type }) => type === 'turn:end').length, 2);
});

void t.test('a turn cancelled while it waits for a yes closes its questions everywhere', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]));
  await bench.say('go');
  await bench.asked('c-1');
  await bench.request('cancel-turn', OF);
  t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
  t.match(await bench.event('tool:denied'), { callId: 'c-1' });
  await t.rejects(bench.approve('c-1'), { code: 'ERR_CALL_NOT_PENDING' });
  t.same((await bench.request('get-session', OF)).pending, []);
  t.same(bench.box.calls, []);
  await checkValid(t, bench);
});

void t.test('a turn cancelled while a tool runs cancels the tool and stores its result', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  bench.model.next(callsTools([{ id: 'c-1', name: 'wait', input: { key: 'k' } }]), says('ok'));
  await bench.say('go');
  await bench.box.started('k');
  await bench.request('cancel-turn', OF);
  t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
  t.match(await bench.event('tool:result'), { callId: 'c-1', ok: false });
  await checkValid(t, bench);
  bench.model.next(callsTools([{ id: 'c-2', name: 'echo', input: { text: 'b' } }]));
  await bench.say('again');
  await bench.turnEnd(2);
  t.same(bench.box.cancelled, ['k'], 'the server was told to stop');
  t.equal(bench.sandboxes.length, 1, 'the sandbox is still there for the next turn');
});

void t.test('a turn cancelled while its sandbox starts does not wait for it', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  bench.onLease = () => new Promise(() => undefined);
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]));
  await bench.say('go');
  await bench.event('tool:start');
  await bench.request('cancel-turn', OF);
  t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
  await checkValid(t, bench);
});

void t.test('an answer and a cancel at the same time leave a valid transcript', async (t) => {
  const bench = await startBench(t);
  bench.model.next(
    callsTools([
      { id: 'c-1', name: 'echo', input: { text: 'a' } },
      { id: 'c-2', name: 'echo', input: { text: 'b' } },
    ]),
  );
  await bench.say('go');
  await bench.asked('c-2');
  await Promise.all([bench.approve('c-1'), bench.request('cancel-turn', OF)]);
  t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
  await checkValid(t, bench);
  t.same(
    bench.durable().map(({ seq }) => seq),
    bench.durable().map((_, index) => index + 1),
  );
});

void t.test('cancelling when nothing runs does nothing', async (t) => {
  const bench = await startBench(t);
  t.equal(await bench.request('cancel-turn', OF), null);
  t.same(bench.events, []);
});

void t.test('a reset of an idle session forgets the conversation', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('one'), says('two'));
  await bench.say('first');
  await bench.turnEnd(1);
  await bench.request('reset-history', OF);
  await bench.event('history:cleared');
  await bench.say('second');
  await bench.turnEnd(2);
  t.same(bench.model.requests[1]?.messages, [{ role: 'user', content: [{ type: 'text', text: 'second' }] }]);
});

void t.test('a reset while a turn runs cancels it, and those in line run on an empty transcript', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(script, says('two'), says('three'));
  await bench.say('first');
  await begun;
  await bench.say('second');
  await bench.say('third');
  await bench.request('reset-history', OF);
  await bench.turnEnd(3);
  t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
  const order = bench.types();
  t.ok(order.indexOf('turn:end') < order.indexOf('history:cleared'));
  t.ok(order.indexOf('history:cleared') < order.lastIndexOf('turn:start'));
  t.same(bench.model.requests[1]?.messages, [{ role: 'user', content: [{ type: 'text', text: 'second' }] }]);
  t.equal(bench.model.requests[2]?.messages.length, 3);
});

void t.test('two resets and a message at the same time leave the message its turn', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(script, says('two'), says('three'));
  await bench.say('first');
  await begun;
  await bench.say('second');
  await Promise.all([bench.request('reset-history', OF), bench.request('reset-history', OF), bench.say('third')]);
  t.match(await bench.turnEnd(3), { stopReason: 'end_turn' });
  t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
  for (const { messages } of bench.model.requests) t.ok(messages.length > 0, 'no request is without its message');
});
