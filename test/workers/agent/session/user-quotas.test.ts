import t from 'tap';
import { OF, startBench, type AgentBench } from '../agent-bench.js';
import { says, saysThenWaits } from '../scripted-model.js';

const hello = [{ type: 'text' as const, text: 'hello' }];

function sayIn(bench: AgentBench, session: string, id?: string) {
  const user = OF.user;
  return bench.request('submit-message', { user, session, content: hello, ...(id ? { id } : {}) });
}

async function newSessions(bench: AgentBench, ...sessions: string[]): Promise<void> {
  for (const session of sessions) await bench.request('create-session', { user: OF.user, session });
}

void t.test('five turns at once are a person’s: the sixth is refused in another session too', async (t) => {
  const bench = await startBench(t);
  await newSessions(bench, 'two', 'three');
  const { script, begun, goOn } = saysThenWaits('one');
  const other = saysThenWaits('other');
  bench.model.next(script, other.script);
  await bench.say('hello');
  await begun;
  await sayIn(bench, 'two');
  await other.begun;
  await Promise.all([bench.say('queued'), bench.say('queued'), sayIn(bench, 'two')]);
  bench.model.next(...Array.from({ length: 9 }, () => says('more')));
  const refused = await sayIn(bench, 'three', 'm-1').catch((error: unknown) => error);
  t.match(refused, { code: 'ERR_QUOTA', details: { limit: 'maxTurns', max: 5, used: 5 } });
  t.match(await bench.request('get-session', { ...OF, session: 'three' }), { turns: 0, running: false });
  const asked = bench.model.requests.length;
  await t.rejects(sayIn(bench, 'three', 'm-1'), { code: 'ERR_QUOTA' });
  t.equal(bench.model.requests.length, asked, 'the model is not asked for one that is likely to be refused');

  goOn();
  other.goOn();
  await bench.turnEnd(3);
  await bench.until(
    () => bench.events.filter(({ type }) => type === 'turn:end').length === 5,
    () => 'the turns did not end',
  );
  t.match(await sayIn(bench, 'three', 'm-1'), { turn: 1, duplicate: false }, 'its id is still new');
  t.match(await sayIn(bench, 'three', 'm-1'), { turn: 1, duplicate: true }, 'a repetition is no second message');
});

void t.test('what a thread counted when it died counts after it, and a turn that goes on ends its count', async (t) => {
  const bench = await startBench(t, { quotas: { default: { maxTurns: 1 } } });
  await newSessions(bench, 'two');
  const { script, begun } = saysThenWaits('one');
  bench.model.next(script);
  await bench.say('hello');
  await begun;
  await bench.crash();
  bench.model.next(says('again'), says('two'));
  await bench.start();
  await bench.turnEnd(1);
  t.match(await sayIn(bench, 'two'), { turn: 1 });
});

void t.test('a person sends so many messages a minute, whatever the session', async (t) => {
  const bench = await startBench(t, { quotas: { default: { maxMessagesPerMinute: 2 }, users: { 'user-2': {} } } });
  await newSessions(bench, 'two');
  bench.model.next(says('1'), says('2'), says('3'), says('4'));
  await bench.say('hello');
  await sayIn(bench, 'two');
  const error = (await sayIn(bench, 'two').catch((thrown: unknown) => thrown)) as { retryAfterMs: number };
  t.match(error, { code: 'ERR_QUOTA', details: { limit: 'maxMessagesPerMinute', max: 2, used: 2, resetAt: Number } });
  t.ok(error.retryAfterMs > 30_000 && error.retryAfterMs <= 60_000);
});

void t.test('a person has so many sessions, and one that is deleted makes room', async (t) => {
  const bench = await startBench(t, { quotas: { default: { maxSessions: 2 } } });
  await newSessions(bench, 'two');
  const refused = { code: 'ERR_QUOTA', details: { limit: 'maxSessions', max: 2, used: 2 } };
  await t.rejects(newSessions(bench, 'three'), refused);
  await bench.request('create-session', { user: 'user-2', session: 'four' });
  await bench.request('delete-session', { user: OF.user, session: 'two' });
  await newSessions(bench, 'three');
});

void t.test('a person’s histories together have a limit, and a reset makes room', async (t) => {
  const bench = await startBench(t, { quotas: { default: { maxHistoryBytes: 600 } } });
  await newSessions(bench, 'two');
  bench.model.next(says('x'.repeat(500)), says('1'), says('2'), says('3'));
  await bench.say('hello');
  await bench.turnEnd(1);
  const error = { code: 'ERR_QUOTA', details: { limit: 'maxHistoryBytes', max: 600 } };
  await t.rejects(sayIn(bench, 'two'), error);
  await bench.request('reset-history', OF);
  t.match(await sayIn(bench, 'two'), { turn: 1 });
});
