import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { OF, startBench, type AgentBench } from '../agent-bench.js';
import { fails, says, saysThenWaits, USAGE } from '../scripted-model.js';

const say = (bench: AgentBench, requestId: string) =>
  bench.request('submit-message', { ...OF, requestId, content: [{ type: 'text', text: 'go' }] });

void t.test(
  'the line of a bug that ended a turn, and the turn’s error, have the id of its message’s request',
  async (t) => {
    const bench = await startBench(t);
    bench.model.next(async function* () {
      yield { type: 'done', answer: { content: undefined as never, stopReason: 'end_turn', usage: USAGE, model: 'x' } };
    });
    await say(bench, 'from-the-proxy.1');
    const { error } = await bench.turnEnd(1);
    t.match(error, { code: 'ERR_INTERNAL', requestId: 'from-the-proxy.1' });
    t.match(bench.logged, [{ msg: 'a bug ended a turn', session: OF.session, turn: 1, requestId: 'from-the-proxy.1' }]);
  },
);

void t.test('a turn in line, and one that goes on after a crash, keep the id of their own message', async (t) => {
  const bench = await startBench(t);
  const { script, begun } = saysThenWaits('Once');
  const away = new FairleadError('ERR_MODEL', 'overloaded');
  bench.model.next(script, fails(away, ''), fails(away, ''), says('fine'));
  await say(bench, 'first');
  await say(bench, 'second');
  await begun;
  await bench.crash();
  await bench.start();
  t.match((await bench.turnEnd(1)).error, { code: 'ERR_MODEL', requestId: 'first' });
  t.match((await bench.turnEnd(2)).error, { code: 'ERR_MODEL', requestId: 'second' });
  await say(bench, 'third');
  t.notOk((await bench.turnEnd(3)).error, 'a turn that ends well says nothing of it');
});

void t.test('a message without one, as of an older server’s row, ends as before', async (t) => {
  const bench = await startBench(t);
  bench.model.next(fails(new FairleadError('ERR_MODEL', 'overloaded'), ''));
  await bench.say('go');
  const { error } = await bench.turnEnd(1);
  t.same(error, { code: 'ERR_MODEL', message: 'overloaded' });
});
