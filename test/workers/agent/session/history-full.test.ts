import t from 'tap';
import { repairTranscript } from '../../../../workers/agent/model/repair-transcript.js';
import { startBench, OF, OWNER, type AgentBench } from '../agent-bench.js';
import { callsTools, says } from '../scripted-model.js';

const CONFIG = { store: { history: { maxBytes: 20_000 } }, approvals: { default: 'allow' } };
const long = (characters: number): string => 'x'.repeat(characters);

async function storedBytes(bench: AgentBench, session = OF.session): Promise<number> {
  return JSON.stringify(await bench.store.readHistory(session)).length;
}

t.test('a full history refuses messages, and takes them again after a reset', async (t) => {
  const bench = await startBench(t, CONFIG);
  bench.model.next(says(long(19_900)), says('anew'));
  await bench.say('go');
  await bench.turnEnd(1);
  await t.rejects(bench.say(long(500)), { code: 'ERR_HISTORY_FULL' });
  await bench.request('reset-history', OF);
  t.equal((await bench.say(long(500))).duplicate, false);
  t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
  t.match((await bench.store.readSession(OF.session))?.history, { messages: 2, clears: 1 });
});

t.test('within a turn a result without room becomes a sentence, and the turn goes on', async (t) => {
  const bench = await startBench(t, CONFIG);
  const uses = ['a', 'b', 'c'].map((key) => ({ id: key, name: 'wait', input: { key } }));
  bench.model.next(callsTools(uses), says('done'));
  await bench.say('go');
  for (const { id } of uses) {
    await bench.box.started(id);
    bench.box.finish(id, long(12_000));
  }
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  const results = bench.durable().flatMap((event) => (event.type === 'tool:result' ? [event.content] : []));
  const left = results.filter((content) => JSON.stringify(content).includes('left out: the history'));
  t.equal(left.length, 2, 'the first has room');
  t.ok((await storedBytes(bench)) < 20_000);
  t.notOk(repairTranscript(await bench.store.readHistory(OF.session)).repaired, 'the transcript is valid');
});

t.test('a turn whose answers fill the history ends with an error, and its transcript is valid', async (t) => {
  const bench = await startBench(t, CONFIG);
  const use = { id: 'a', name: 'echo', input: { text: 'a' } };
  bench.model.next(callsTools([use], { text: long(20_000) }), says('never asked'));
  await bench.say('go');
  t.match(await bench.turnEnd(1), { stopReason: 'error', error: { code: 'ERR_HISTORY_FULL' } });
  t.equal(bench.model.requests.length, 1);
  t.notOk(repairTranscript(await bench.store.readHistory(OF.session)).repaired);
});

t.test('a history from before sizes were kept is measured before its next message', async (t) => {
  const bench = await startBench(t, CONFIG);
  const { history: _history, ...row } = (await bench.store.readSession(OF.session))!;
  const old = { ...row, session: 'old', owner: OWNER };
  await bench.store.createSession(old);
  const content = [{ type: 'text', text: long(19_000) }];
  await bench.store.commit('old', { events: [], messages: [{ role: 'user', content }] });
  const say = (text: string): Promise<unknown> =>
    bench.request('submit-message', { ...OF, session: 'old', content: [{ type: 'text', text }] });
  await t.rejects(say(long(1_000)), { code: 'ERR_HISTORY_FULL' });
  bench.model.next(says('x'));
  await say('x');
  await bench.event('turn:end');
  const after = await bench.store.readSession('old');
  t.match(after?.history, { messages: 3, clears: 0 });
  t.ok(Math.abs(after!.history!.bytes - (await storedBytes(bench, 'old'))) < 50, 'about its JSON');
});
