import t from 'tap';
import { registry } from '../../../../src/shared/metrics.js';
import { OF, startBench, type AgentBench } from '../agent-bench.js';
import { says, saysThenWaits } from '../scripted-model.js';

async function sessionsInMemory(): Promise<number | undefined> {
  const metric = await registry.getSingleMetric('fairlead_sessions_in_memory')?.get();
  return metric?.values[0]?.value;
}

async function isEvicted(bench: AgentBench): Promise<boolean> {
  await bench.request('collect-metrics', {}); // whatever was under way has had its turn of the event loop
  return (await sessionsInMemory()) === 0;
}

void t.test('messages that come while a turn runs are queued and run in order', async (t) => {
  const bench = await startBench(t);
  const { script, begun, goOn } = saysThenWaits('one');
  bench.model.next(script, says('two'), says('three'));
  await bench.say('first');
  await begun;
  t.match(await bench.say('second'), { turn: 2, queued: 1 });
  t.match(await bench.say('third'), { turn: 3, queued: 2 });
  goOn();
  await bench.turnEnd(3);
  t.same(
    bench
      .durable()
      .filter(({ type }) => type.startsWith('turn:'))
      .map((event) => [event.type, 'turn' in event && event.turn]),
    [1, 2, 3].flatMap((turn) => [
      ['turn:start', turn],
      ['turn:end', turn],
    ]),
  );
  t.equal(bench.model.requests[2]?.messages.length, 5);
});

void t.test('messages sent at once get turns of their own, in the order they came', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('1'), says('2'), says('3'));
  const accepted = await Promise.all([bench.say('a'), bench.say('b'), bench.say('c')]);
  t.same(
    accepted.map(({ turn }) => turn),
    [1, 2, 3],
  );
  await bench.turnEnd(3);
  t.same(
    bench.durable().map(({ seq }) => seq),
    bench.durable().map((_, index) => index + 1),
  );
});

void t.test('the sixth message in flight is refused, and the next is accepted when a turn has ended', async (t) => {
  const bench = await startBench(t);
  const { script, begun, goOn } = saysThenWaits('one');
  bench.model.next(script, says('2'), says('3'), says('4'), says('5'), says('6'));
  await bench.say('1');
  await begun;
  const more = await Promise.allSettled(['2', '3', '4', '5', '6', '7'].map((text) => bench.say(text)));
  t.same(
    more.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'],
  );
  t.match(more[4], { reason: { code: 'ERR_TOO_MANY_REQUESTS' } });
  goOn();
  await bench.turnEnd(5);
  t.match(await bench.say('again'), { turn: 6 });
  await bench.turnEnd(6);
});

void t.test('the same message id runs once, at once, later, and over a restart', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('one'), says('two'));
  const both = await Promise.all([bench.say('hi', 'm-1'), bench.say('hi', 'm-1')]);
  t.same(
    both.map(({ turn, duplicate }) => [turn, duplicate]),
    [
      [1, false],
      [1, true],
    ],
  );
  await bench.turnEnd(1);
  t.match(await bench.say('hi', 'm-1'), { turn: 1, duplicate: true });
  await bench.stop();
  await bench.start();
  t.match(await bench.say('hi', 'm-1'), { turn: 1, duplicate: true });
  t.match(await bench.say('other', 'm-2'), { turn: 2, duplicate: false });
  await bench.turnEnd(2);
  t.equal(bench.model.requests.length, 2);
  t.equal(bench.durable().filter(({ type }) => type === 'message:accepted').length, 2);
});

void t.test('a session is in memory only while something happens in it', async (t) => {
  const bench = await startBench(t);
  const { script, begun, goOn } = saysThenWaits('one');
  bench.model.next(script);
  await bench.attach(0);
  t.ok(await isEvicted(bench), 'an attach leaves nothing behind');
  await bench.say('hi');
  await begun;
  t.equal(await sessionsInMemory(), 1);
  await bench.attach(0);
  t.equal(await sessionsInMemory(), 1, 'and it is the same one');
  goOn();
  await bench.turnEnd(1);
  t.ok(await isEvicted(bench));
});

void t.test('a session of someone else looks like none, and does not stay in memory', async (t) => {
  const bench = await startBench(t);
  const other = { user: 'user-2', session: OF.session };
  const missing = { user: 'user-1', session: 'session-9' };
  for (const of of [other, missing]) {
    const requests = [
      bench.request('attach', { ...of, resumed: true }),
      bench.request('submit-message', { ...of, content: [{ type: 'text', text: 'x' }] }),
      bench.request('answer-approval', { ...of, callId: 'c', approved: true }),
      bench.request('cancel-turn', of),
      bench.request('reset-history', of),
      bench.request('get-session', of),
      bench.request('read-history', of),
      bench.request('delete-session', of),
      bench.request('catch-up', of),
    ];
    for (const result of await Promise.allSettled(requests)) {
      t.match(result, { status: 'rejected', reason: { code: 'ERR_NO_SUCH_SESSION' } });
    }
  }
  t.ok(await isEvicted(bench));
  t.ok(await bench.store.readSession(OF.session), 'it is still there');
});

void t.test('a session gets the model that it asks for only if the configuration allows it', async (t) => {
  const bench = await startBench(t, { model: { name: 'first', allow: ['second'] } });
  const of = { user: 'user-1', session: 'session-2' };
  await t.rejects(bench.request('create-session', { ...of, model: 'third' }), { code: 'ERR_MODEL_NOT_ALLOWED' });
  t.same(await bench.request('create-session', { ...of, model: 'second' }), { session: of.session, model: 'second' });
  bench.model.next(says('hi'));
  await bench.request('submit-message', { ...of, content: [{ type: 'text', text: 'x' }] });
  await bench.turnEnd(1);
  t.equal(bench.model.requests[0]?.model, 'second');
});

void t.test('a user’s sessions are listed with their titles, last active first', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('hi'));
  await bench.request('create-session', { user: 'user-1', session: 'session-2' });
  await bench.request('create-session', { user: 'user-2', session: 'session-3' });
  await bench.say('  a   title\nfrom the first message ');
  await bench.turnEnd(1);
  const { sessions } = await bench.request('list-sessions', { user: 'user-1', limit: 10 });
  t.match(sessions, [
    { session: 'session-1', title: 'a title from the first message', turns: 1 },
    { session: 'session-2' },
  ]);
  t.equal(sessions.length, 2);
});
