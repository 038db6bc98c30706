import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Store } from '../../../../workers/agent/store/store.js';
import { repairTranscript } from '../../../../workers/agent/model/repair-transcript.js';
import { OF, startBench } from '../agent-bench.js';
import { callsTools, says, saysThenWaits } from '../scripted-model.js';

const wait = (key: string) => ({ id: key, name: 'wait', input: { key } });

void t.test('a turn that a crash cut while it streamed resumes by itself', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(script, says('Twice'));
  await bench.say('first');
  await begun;
  await bench.crash();
  await bench.start();
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn', seq: 4 });
  t.same(
    (await bench.attach(0)).map(({ type }) => type),
    ['session:ready', 'message:accepted', 'turn:start', 'text', 'turn:end'],
  );
  t.same(bench.model.requests[1]?.messages, bench.model.requests[0]?.messages);
  t.match(
    await bench.event('text'),
    { text: 'Twice', block: 1_000 },
    'not the block that people have read the half of',
  );
});

void t.test('a turn that crashes its thread each time it runs is interrupted in the end', async (t) => {
  const bench = await startBench(t);
  for (let crash = 0; crash < 4; crash++) {
    const { script, begun } = saysThenWaits('Once');
    bench.model.next(script);
    if (crash === 0) await bench.say('first');
    await begun;
    await bench.crash();
    await bench.start();
  }
  t.match(await bench.turnEnd(1), { stopReason: 'interrupted' });
  t.equal(bench.model.requests.length, 4);
});

void t.test('a crash while a tool ran leaves a result that says so, and the tool does not run again', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  bench.model.next(callsTools([{ id: 'c-1', name: 'wait', input: { key: 'k' } }]), says('what now'));
  await bench.say('go');
  await bench.box.started('k');
  const seen = Date.now();
  while (Date.now() === seen) await new Promise((resolve) => setImmediate(resolve));
  await bench.crash();
  await bench.start();
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  const result = await bench.event('tool:result');
  t.match(result, { callId: 'c-1', ok: false });
  t.ok(result.ms > 0, 'with the time that is known');
  const history = await bench.store.readHistory(OF.session);
  t.notOk(repairTranscript(history).repaired);
  t.match(bench.model.requests[1]?.messages.at(-1), {
    role: 'user',
    content: [{ type: 'tool_result', tool_use_id: 'c-1', is_error: true }],
  });
  t.match(JSON.stringify(history), 'may have run');
  t.same(bench.box.calls, ['wait k']);
});

void t.test(
  'a call that waits for a yes waits on after a crash, with its deadline, and runs when it comes',
  async (t) => {
    const bench = await startBench(t);
    bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]), says('done'));
    await bench.say('go');
    const asked = await bench.asked('c-1');
    await bench.crash();
    await bench.start();
    const [ready, ...replay] = await bench.attach(0);
    const { type: _type, seq: _seq, ...question } = asked;
    t.strictSame(ready && 'pending' in ready && ready.pending, [{ kind: 'approval', ...question }]);
    t.notOk(replay.some(({ type }) => type === 'turn:end'));
    await bench.approve('c-1');
    t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
    t.same(bench.box.calls, ['echo a']);
    t.equal(bench.model.requests.length, 2);
  },
);

void t.test('of several calls each keeps its own state over a crash', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([wait('done'), wait('runs'), wait('denied'), wait('asked')]), says('so'));
  await bench.say('go');
  await bench.asked('asked');
  await bench.approve('denied', { approved: false });
  await bench.approve('done');
  await bench.box.started('done');
  bench.box.finish('done', 'all well');
  await bench.event('tool:result');
  await bench.approve('runs');
  await bench.box.started('runs');
  await bench.crash();
  await bench.start();
  await bench.event('tool:result', ({ callId }) => callId === 'runs');
  t.match((await bench.request('get-session', OF)).pending, [{ callId: 'asked' }]);
  await bench.approve('asked');
  await bench.box.started('asked');
  bench.box.finish('asked');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  const results = bench.model.requests[1]?.messages.at(-1)?.content;
  t.match(results, [
    { tool_use_id: 'done', content: [{ text: 'all well' }] },
    { tool_use_id: 'runs', is_error: true },
    { tool_use_id: 'denied', is_error: true },
    { tool_use_id: 'asked' },
  ]);
  t.same(bench.box.calls, ['wait done', 'wait runs', 'wait asked']);
});

void t.test('a deadline that has passed while nothing ran denies the call at the next start', async (t) => {
  const bench = await startBench(t, { approvals: { timeoutMs: 100 } });
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]), says('nobody'));
  await bench.say('go');
  await bench.asked('c-1');
  await bench.crash();
  await bench.start();
  t.match(await bench.event('tool:denied'), { callId: 'c-1', by: 'timeout' });
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  await t.rejects(bench.approve('c-1'), { code: 'ERR_CALL_NOT_PENDING' });
});

void t.test('a session that waits for a yes is not in memory', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]), says('done'));
  await bench.say('go');
  await bench.asked('c-1');
  const inMemory = async (): Promise<unknown> => {
    const { metrics } = await bench.request('collect-metrics', {});
    return (metrics as { name: string; values: { value: number }[] }[]).find(
      ({ name }) => name === 'fairlead_sessions_in_memory',
    )?.values[0]?.value;
  };
  t.equal(await inMemory(), 0);
  t.match(await bench.request('get-session', OF), { running: true, pending: [{ callId: 'c-1' }] });
  await bench.approve('c-1');
  await bench.turnEnd(1);
});

void t.test('messages that waited in line at a crash run after it', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(script, says('one'), says('two'), says('three'));
  await bench.say('first');
  await begun;
  await bench.say('second');
  await bench.say('third');
  await bench.crash();
  await bench.start();
  t.match(await bench.turnEnd(3), { stopReason: 'end_turn' });
  t.equal(bench.model.requests.length, 4);
  const all = (await bench.attach(0)).slice(1);
  t.same(
    all.map((event) => 'seq' in event && event.seq),
    all.map((_, index) => index + 1),
  );
});

void t.test('requests that come together while a session is read share one read and one session', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(script, says('one'), says('two'), says('three'));
  await bench.say('first');
  await begun;
  await bench.crash();
  await bench.start();
  await Promise.all([bench.attach(0), bench.say('second'), bench.attach(0), bench.say('third')]);
  await bench.turnEnd(3);
  const all = (await bench.attach(0)).slice(1);
  t.same(
    all.filter(({ type }) => type === 'turn:end').map((event) => 'turn' in event && event.turn),
    [1, 2, 3],
  );
});

/** Rejects its next commit as a store does that cannot be reached. */
function refuseCommits(store: Store): { heal: () => void } {
  const commit = store.commit.bind(store);
  store.commit = () => Promise.reject(new FairleadError('ERR_UNAVAILABLE', 'away'));
  return {
    heal: () => {
      store.commit = commit;
    },
  };
}

void t.test(
  'a store that fails in the middle stops the turn; when it is back, the turn ends with that error by itself',
  async (t) => {
    const bench = await startBench(t);
    const { script, begun, goOn } = saysThenWaits('Once', ' more');
    bench.model.next(script, says('two'));
    await bench.say('first');
    await begun;
    const { heal } = refuseCommits(bench.store);
    goOn();
    t.match(await bench.event('error'), { code: 'ERR_UNAVAILABLE' });
    heal();
    t.match(await bench.turnEnd(1), { stopReason: 'error', error: { code: 'ERR_UNAVAILABLE' } });
    t.match(bench.reread, [{ session: OF.session, seq: 2 }], 'what was stored and not told is looked for');
    await bench.say('second');
    t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
    t.same(
      bench.durable().map(({ seq }) => seq),
      bench.durable().map((_, index) => index + 1),
    );
  },
);

void t.test('an approval that the store refuses is an error to who gave it, and can be given again', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]), says('done'));
  await bench.say('go');
  await bench.asked('c-1');
  const { heal } = refuseCommits(bench.store);
  await t.rejects(bench.approve('c-1'), { code: 'ERR_UNAVAILABLE' });
  heal();
  t.same(bench.box.calls, []);
  await bench.approve('c-1');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  t.same(bench.box.calls, ['echo a']);
});
