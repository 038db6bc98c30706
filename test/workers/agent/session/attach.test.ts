import t from 'tap';
import { OF, startBench, type Event } from '../agent-bench.js';
import { callsTools, says, saysThenWaits, type Script } from '../scripted-model.js';

const call = (id: string): Script => callsTools([{ id, name: 'echo', input: { text: id } }]);
const seqs = (events: readonly Event[]): number[] =>
  events.flatMap((event) => ('seq' in event && event.type !== 'session:ready' ? [event.seq] : []));

void t.test('an attach begins with session:ready and replays exactly what is after `after`', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('one'));
  await bench.say('hi');
  await bench.turnEnd(1);
  const all = await bench.attach(0);
  t.match(all[0], {
    type: 'session:ready',
    session: OF.session,
    seq: 4,
    resumed: true,
    model: 'claude-sonnet-5-5',
    pending: [],
    limits: { maxInFlight: 5, maxFrameBytes: 1_048_576 },
  });
  t.same(all.slice(1), bench.durable(), 'the replay is what was sent, to the letter');
  t.same(seqs(await bench.attach(2)), [3, 4]);
  t.same(seqs(await bench.attach(4)), []);
  t.same(seqs(await bench.attach()), [], 'no `after` joins now');
});

void t.test('an `after` ahead of the log is refused', async (t) => {
  const bench = await startBench(t);
  await t.rejects(bench.attach(1), { code: 'ERR_BAD_FRAME' });
});

void t.test('a client that joins while text streams gets the block so far at offset 0, then the rest', async (t) => {
  const bench = await startBench(t);
  const { script, begun, goOn } = saysThenWaits('Once upon', ' a time');
  bench.model.next(script);
  await bench.say('tell me');
  await begun;
  const frames = await bench.attach(0);
  t.match(frames.at(-1), { type: 'text:delta', turn: 1, block: 0, offset: 0, text: 'Once upon' });
  const { frames: again } = await bench.request('catch-up', OF);
  t.same(
    again.map(({ json }) => JSON.parse(json) as unknown),
    [frames.at(-1)],
  );
  goOn();
  t.match(await bench.event('text:delta', ({ offset }) => offset > 0), { offset: 9, text: ' a time' });
  await bench.turnEnd(1);
  t.same(
    (await bench.attach(0)).filter(({ type }) => type === 'text:delta'),
    [],
    'nothing streams any more',
  );
});

void t.test('open questions are in session:ready, whole', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }]), says('ok'));
  await bench.say('go');
  const { type: _type, seq: _seq, ...question } = await bench.asked('c-1');
  const [ready] = await bench.attach(0);
  t.match(ready, { pending: [{ kind: 'approval', ...question }] });
  await bench.approve('c-1');
  await bench.turnEnd(1);
  t.match((await bench.attach(0))[0], { pending: [] });
});

void t.test('the transcript of a reset is the newest part of a long one, and says where the rest is', async (t) => {
  const bench = await startBench(t, { store: { eventLog: { maxEvents: 4 } } });
  const long = 'x'.repeat(700_000);
  bench.model.next(says(long), says(long), says(long));
  for (const turn of [1, 2, 3]) {
    await bench.say(`message ${turn}`);
    await bench.turnEnd(turn);
  }
  const [ready] = await bench.attach(2);
  if (ready?.type !== 'session:ready') throw new Error('no session:ready');
  t.match(ready, { reset: true, transcriptNext: '4' });
  t.equal(ready.transcript?.length, 2);
  const rest = await bench.request('read-history-page', { ...OF, limit: 50, before: Number(ready.transcriptNext) });
  t.match(JSON.parse(rest.json), [{ role: 'user' }, { role: 'assistant', content: [{ text: long }] }].slice(0, 1));
  t.equal(rest.first + (JSON.parse(rest.json) as unknown[]).length, 4);
});

void t.test('a log that no longer reaches back answers with a reset and the transcript', async (t) => {
  const bench = await startBench(t, { store: { eventLog: { maxEvents: 4 } } });
  bench.model.next(says('one'), says('two'), says('three'));
  for (const turn of [1, 2, 3]) {
    await bench.say(`message ${turn}`);
    await bench.turnEnd(turn);
  }
  const [ready, ...rest] = await bench.attach(2);
  t.match(ready, { reset: true, seq: 12 });
  t.equal(ready?.type === 'session:ready' && ready.transcript?.length, 6);
  t.same(rest, []);
  t.same(seqs(await bench.attach(8)), [9, 10, 11, 12], 'the oldest that is held is enough');
  t.match((await bench.attach(7))[0], { reset: true });
  t.same(seqs(await bench.attach(0)), [9, 10, 11, 12], '0 asks for all that is still held');
});

void t.test('a log of more than one page is replayed whole', async (t) => {
  const bench = await startBench(t, { store: { eventLog: { maxEvents: 5_000 } } });
  const events = Array.from({ length: 1_203 }, (_, index) => {
    const seq = index + 1;
    return { seq, json: JSON.stringify({ type: 'history:cleared', seq }) };
  });
  await bench.store.commit(OF.session, { events });
  t.same(
    seqs(await bench.attach(1)),
    events.slice(1).map(({ seq }) => seq),
  );
});

void t.test('attaches while a turn runs never miss or repeat an event', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  bench.model.next(...['a', 'b', 'c', 'd', 'e', 'f'].map(call), says('done'));
  await bench.say('go');
  const joins: { replay: number[]; from: number }[] = [];
  while (!bench.types().includes('turn:end')) {
    // The response and the frames use one port: events that the bench has when the response comes were sent before it.
    const { frames, seq } = await bench.request('attach', { ...OF, resumed: true, after: 0 });
    const replay = frames.flatMap((frame) => (frame.seq > 0 ? [frame.seq] : []));
    t.equal(seq, replay.at(-1), 'what comes next begins where the frames end');
    joins.push({ replay, from: bench.durable().length });
  }
  for (const { replay, from } of joins) {
    const seen = [...replay, ...seqs(bench.durable().slice(from))];
    t.same(seen, seqs(bench.durable()));
  }
  t.ok(joins.length > 1);
});
