import t from 'tap';
import { OF, startBench } from '../agent-bench.js';
import { callsTools, says, withholds } from '../scripted-model.js';

void t.test('what the model’s API refused is stored with the session, and known to its next request', async (t) => {
  const bench = await startBench(t);
  bench.model.next(withholds(['abc', 'cut:def'], 'fine'), says('again'), says('new'));
  for (const turn of [1, 2]) {
    await bench.say('hi');
    await bench.turnEnd(turn);
  }
  t.notOk(bench.model.requests[0]?.withheld);
  t.same(bench.model.requests[1]?.withheld, ['abc', 'cut:def']);
  t.same((await bench.store.readSession('session-1'))?.withheld, ['abc', 'cut:def']);
  await bench.request('reset-history', OF);
  await bench.say('hi');
  await bench.turnEnd(3);
  t.same(bench.model.requests[2]?.withheld, [], 'a cleared history has nothing to withhold');
});

void t.test('what was refused before a call is known to the request with its result', async (t) => {
  const bench = await startBench(t);
  bench.model.next(async function* (request, signal) {
    for await (const event of callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }])(request, signal)) {
      yield event.type === 'done'
        ? { ...event, answer: { ...event.answer, withheld: ['abc'], leftOut: 'without x' } }
        : event;
    }
  }, says('done'));
  await bench.say('go');
  await bench.asked('c-1');
  await bench.approve('c-1');
  await bench.turnEnd(1);
  const notices = bench.durable().filter(({ type }) => type === 'notice');
  t.match(notices, [{ code: 'model_refused', message: 'without x' }], 'the person is told, once');
  t.same(bench.model.requests[1]?.withheld, ['abc']);
});
