import t from 'tap';
import { FairleadError } from '../../../src/errors.js';
import type { Store } from '../../../src/store/store.js';
import { repairTranscript } from '../../../workers/agent/model/repair-transcript.js';
import { OF, startBench } from './agent-bench.js';
import { callsTools, says, saysThenWaits } from './scripted-model.js';

void t.test('a turn that a crash cut while it streamed ends as interrupted, and the session goes on', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(script, says('hello'));
  await bench.say('first');
  await begun;
  await bench.crash();
  await bench.start();
  const frames = await bench.attach(0);
  t.same(
    frames.map(({ type }) => type),
    ['session:ready', 'message:accepted', 'turn:start', 'turn:end'],
  );
  t.match(frames.at(-1), { type: 'turn:end', turn: 1, seq: 3, stopReason: 'interrupted' });
  t.match(await bench.say('second'), { turn: 2, queued: 0 });
  t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
});

void t.test('a crash while a tool ran leaves a result that says so, and the tool does not run again', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  bench.model.next(callsTools([{ id: 'c-1', name: 'wait', input: { key: 'k' } }]), says('what now'));
  await bench.say('go');
  await bench.box.started('k');
  await bench.crash();
  await bench.start();
  t.match((await bench.attach(0)).at(-1), { type: 'turn:end', stopReason: 'interrupted' });
  const history = await bench.store.readHistory(OF.session);
  t.notOk(repairTranscript(history).repaired);
  t.match(history.at(-1), { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c-1', is_error: true }] });
  await bench.say('again');
  await bench.turnEnd(2);
  t.same(bench.box.calls, ['wait k']);
});

void t.test('a crash while a call waited for a yes ends the turn, and nobody can answer it any more', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]));
  await bench.say('go');
  await bench.asked('c-1');
  await bench.crash();
  await bench.start();
  const frames = await bench.attach(0);
  t.match(frames[0], { pending: [] });
  t.match(frames.at(-1), { type: 'turn:end', stopReason: 'interrupted' });
  await t.rejects(bench.approve('c-1'), { code: 'ERR_CALL_NOT_PENDING' });
  t.same(bench.box.calls, []);
});

void t.test('messages that waited in line at a crash run after it', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(script, says('two'), says('three'));
  await bench.say('first');
  await begun;
  await bench.say('second');
  await bench.say('third');
  await bench.crash();
  await bench.start();
  const replay = await bench.attach(0);
  await bench.turnEnd(3);
  t.match(
    replay.find(({ type }) => type === 'turn:end'),
    { turn: 1, stopReason: 'interrupted' },
  );
  t.equal(bench.model.requests.length, 3);
  const all = (await bench.attach(0)).slice(1);
  t.same(
    all.map((event) => 'seq' in event && event.seq),
    all.map((_, index) => index + 1),
  );
});

void t.test('requests that come together while a session is read share one read and one session', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  bench.model.next(script, says('two'), says('three'));
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

/** Refuses its next commit as a store does whose server has gone away. */
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
  'a store that goes away in the middle stops the turn; when it is back, the turn ends as interrupted by itself',
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
    t.match(await bench.turnEnd(1), { stopReason: 'interrupted' });
    await bench.say('second');
    t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
    t.same(
      bench.durable().map(({ seq }) => seq),
      bench.durable().map((_, index) => index + 1),
    );
  },
);

void t.test('an approval that the store refuses is an error to who gave it, and its turn ends', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]));
  await bench.say('go');
  await bench.asked('c-1');
  const { heal } = refuseCommits(bench.store);
  await t.rejects(bench.approve('c-1'), { code: 'ERR_UNAVAILABLE' });
  heal();
  t.match(await bench.turnEnd(1), { stopReason: 'interrupted' });
  t.same(bench.box.calls, []);
});
