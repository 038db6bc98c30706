/** Turns that wait for their turn at the model: what clients are told, and how the wait ends. */
import t from 'tap';
import { abortable } from '../../../../src/shared/abort.js';
import { deferred } from '../../../helpers/processes.js';
import { OF, startBench, type AgentBench, type EventOf } from '../agent-bench.js';
import { callsTools, says, type Script } from '../scripted-model.js';

const OTHER = { user: 'user-2', session: 'session-2' };
const BOUND = { limits: { maxModelCalls: 1 }, quotas: { default: { maxTurns: 0 } } };

/** Answers once the gate opens. */
function holds(gate: Promise<unknown>, text: string): Script {
  return async function* (request, signal) {
    await abortable(() => gate, signal);
    yield* says(text)(request, signal);
  };
}

async function twoUsers(bench: AgentBench): Promise<void> {
  await bench.request('create-session', OTHER);
}

function say(bench: AgentBench, of: typeof OF, text: string) {
  return bench.request('submit-message', { ...of, content: [{ type: 'text', text }] });
}

t.test('a turn that waits says so, also to a client that joins, and goes on when it may', async (t) => {
  const bench = await startBench(t, BOUND);
  await twoUsers(bench);
  const gate = deferred<void>();
  bench.model.next(holds(gate.promise, 'first'), says('second'));
  await say(bench, OTHER, 'one');
  await bench.until(
    () => bench.model.requests.length === 1,
    () => 'the first request was not made',
  );
  await bench.say('two');
  const told = await bench.event('turn:waiting');
  t.match(told, { turn: 1, reason: 'fairness' });
  t.equal(bench.model.requests.length, 1);
  const joined = await bench.attach();
  t.match(
    joined.find(({ type }) => type === 'turn:waiting'),
    { turn: 1, reason: 'fairness' },
  );
  gate.resolve();
  await bench.event('text', ({ text }) => text === 'second');
  t.equal(bench.slots.total, 0);
  t.equal(bench.slots.mustAsk, false);
  t.notOk((await bench.attach()).some(({ type }) => type === 'turn:waiting'));
});

t.test('a turn that waits can be cancelled, and its place in the line is gone', async (t) => {
  const bench = await startBench(t, BOUND);
  await twoUsers(bench);
  const gate = deferred<void>();
  bench.model.next(holds(gate.promise, 'first'), says('third'));
  await say(bench, OTHER, 'one');
  await bench.until(
    () => bench.model.requests.length === 1,
    () => 'the first request was not made',
  );
  await bench.say('two');
  await bench.event('turn:waiting');
  await bench.request('cancel-turn', OF);
  t.match(await bench.event('turn:end'), { stopReason: 'cancelled' });
  t.equal(bench.broker.waiting, 0);
  gate.resolve();
  await bench.event('text', ({ text }) => text === 'first');
  await bench.say('three');
  await bench.event('text', ({ text }) => text === 'third');
  t.equal(bench.slots.total, 0);
});

t.test('a turn that waits survives its thread', async (t) => {
  const bench = await startBench(t, BOUND);
  await twoUsers(bench);
  bench.model.next(holds(new Promise(() => undefined), 'never'), says('again'), says('at last'));
  await say(bench, OTHER, 'one');
  await bench.until(
    () => bench.model.requests.length === 1,
    () => 'the first request was not made',
  );
  await bench.say('two');
  await bench.event('turn:waiting');
  await bench.crash();
  t.equal(bench.slots.total, 0);
  await bench.start();
  await bench.event('text', ({ text }) => text === 'again');
  await bench.event('text', ({ text }) => text === 'at last');
  await bench.until(
    () => bench.events.filter(({ type }) => type === 'turn:end').length === 2,
    () => `there were ${bench.types().join(' ')}`,
  );
});

t.test('a turn that waits when the server stops goes on at the next start', async (t) => {
  const bench = await startBench(t, BOUND);
  await twoUsers(bench);
  bench.model.next(holds(new Promise(() => undefined), 'never'), says('after the start'));
  await say(bench, OTHER, 'one');
  await bench.until(
    () => bench.model.requests.length === 1,
    () => 'the first request was not made',
  );
  await bench.say('two');
  await bench.event('turn:waiting');
  await bench.request('drain', { graceMs: 0 });
  const [end] = bench.events.filter(({ type }) => type === 'turn:end');
  t.match(end, { stopReason: 'interrupted' }, 'the one that ran');
  await bench.stop();
  await bench.start();
  await bench.event('text', ({ text }) => text === 'after the start');
  const ends = (): EventOf<'turn:end'>[] =>
    bench.events.filter((event): event is EventOf<'turn:end'> => event.type === 'turn:end');
  await bench.until(
    () => ends().length === 2,
    () => `there were ${bench.types().join(' ')}`,
  );
  t.same(
    ends().map(({ stopReason }) => stopReason),
    ['interrupted', 'end_turn'],
  );
});

t.test('a turn whose time to wait is over ends with a reason and a time to come back', async (t) => {
  const bench = await startBench(t, { limits: { maxModelCalls: 1, modelWaitMs: 300 } });
  await twoUsers(bench);
  const gate = deferred<void>();
  bench.model.next(holds(gate.promise, 'first'));
  await say(bench, OTHER, 'one');
  await bench.until(
    () => bench.model.requests.length === 1,
    () => 'the first request was not made',
  );
  await bench.say('two');
  const end = await bench.event('turn:end');
  t.match(end, { stopReason: 'error', error: { code: 'ERR_UNAVAILABLE', message: /busy with other turns/ } });
  gate.resolve();
  await bench.event('text', ({ text }) => text === 'first');
});

t.test('one user with many turns delays the turn of another by one', async (t) => {
  const bench = await startBench(t, BOUND);
  await twoUsers(bench);
  const gate = deferred<void>();
  const many = Array.from({ length: 10 }, (_, index) => ({ user: OF.user, session: `many-${index}` }));
  for (const of of many) await bench.request('create-session', of);
  bench.model.next(holds(gate.promise, 'x'), ...Array.from({ length: 10 }, () => says('x')));
  for (const of of many) await say(bench, of, 'many');
  await bench.until(
    () => bench.broker.waiting === 9,
    () => `${bench.broker.waiting} wait`,
  );
  await say(bench, OTHER, 'one');
  await bench.until(
    () => bench.broker.waiting === 10,
    () => `${bench.broker.waiting} wait`,
  );
  gate.resolve();
  await bench.until(
    () => bench.events.filter(({ type }) => type === 'turn:end').length === 11,
    () => `there were ${bench.types().join(' ')}`,
  );
  const asked = bench.model.requests.map(({ messages }) => JSON.stringify(messages).includes('"one"'));
  t.ok(asked.indexOf(true) <= 2, `it was the ${asked.indexOf(true) + 1}th`);
});

t.test('a call that waits for a sandbox says so until it has one', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  const free = deferred<void>();
  bench.onLease = async (request) => {
    await free.promise;
    return bench.lease(request);
  };
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'hi' } }]), says('done'));
  await bench.say('go');
  t.match(await bench.event('turn:waiting'), { turn: 1, reason: 'sandbox' });
  t.match(
    (await bench.attach()).find(({ type }) => type === 'turn:waiting'),
    { turn: 1, reason: 'sandbox' },
  );
  free.resolve();
  await bench.event('tool:result');
  t.notOk((await bench.attach()).some(({ type }) => type === 'turn:waiting'));
  await bench.turnEnd(1);
});

t.test('while nothing is short no request asks the main thread', async (t) => {
  const bench = await startBench(t, { limits: { maxModelCalls: 2 } });
  bench.model.next(says('one'), says('two'));
  await bench.say('a');
  await bench.turnEnd(1);
  await bench.say('b');
  await bench.turnEnd(2);
  t.notOk(bench.types().includes('turn:waiting'));
  t.equal(bench.asks, 0);
});
