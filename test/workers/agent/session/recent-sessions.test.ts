import t from 'tap';
import type { Commit, CommitResult, Store } from '../../../../workers/agent/store/store.js';
import { RecentSessions } from '../../../../workers/agent/session/recent-sessions.js';
import { openStore } from '../../../../workers/agent/store/open.js';
import { parseConfig } from '../../../../src/shared/config.js';
import { deferred } from '../../../helpers/processes.js';
import { OF, startBench, type AgentBench } from '../agent-bench.js';
import { says, type Script } from '../scripted-model.js';
import { newRow } from '../store/store-backend.js';

/** Notes the reads of the bench's store. */
function watchReads(bench: AgentBench): string[] {
  const reads: string[] = [];
  for (const name of ['readSession', 'readHistory', 'readHistoryBlock'] as const) {
    const read = bench.store[name].bind(bench.store) as (...args: unknown[]) => unknown;
    Object.assign(bench.store, {
      [name]: (...args: unknown[]) => {
        reads.push(name);
        return read(...args);
      },
    });
  }
  return reads;
}

/** Holds the next commit until `goOn`, and does it then or fails. */
function holdCommit(store: Store): { goOn: (error?: Error) => void } {
  const commit = store.commit.bind(store);
  const gate = deferred<Error | undefined>();
  store.commit = async (session: string, step: Commit): Promise<CommitResult> => {
    store.commit = commit;
    const error = await gate.promise;
    if (error) throw error;
    return commit(session, step);
  };
  return { goOn: (error) => gate.resolve(error) };
}

/** As `says`; tells when it is asked, and when its request is aborted. */
function watched(text: string): { script: Script; asked: Promise<void>; aborted: Promise<void> } {
  const asked = deferred<void>();
  const aborted = deferred<void>();
  const script: Script = async function* (request, signal) {
    asked.resolve();
    signal.addEventListener('abort', () => aborted.resolve(), { once: true });
    yield* says(text)(request, signal);
  };
  return { script, asked: asked.promise, aborted: aborted.promise };
}

async function turn(bench: AgentBench, number: number): Promise<void> {
  await bench.say(`message ${number}`);
  await bench.turnEnd(number);
  await bench.request('collect-metrics', {}); // the session leaves memory in the turn of the event loop that ends its turn
}

function known(session: string, bytes: number) {
  return { row: newRow({ session, user: 'u', history: { bytes, messages: 1, clears: 0 } }), transcript: [] };
}

void t.test('the next turn of a session that was here lately reads nothing from the store', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('one'), says('two'));
  await turn(bench, 1);
  const reads = watchReads(bench);
  await turn(bench, 2);
  t.same(reads, []);
  t.equal(bench.model.requests[1]?.messages.length, 3, 'the request has the first turn');
  t.same(await bench.store.readHistory(OF.session), [
    ...bench.model.requests[1]!.messages,
    { role: 'assistant', content: [{ type: 'text', text: 'two' }] },
  ]);
});

void t.test('with no memory for it, each turn reads its session', async (t) => {
  const bench = await startBench(t, { agents: { recentMb: 0 } });
  bench.model.next(says('one'), says('two'));
  await turn(bench, 1);
  const reads = watchReads(bench);
  await turn(bench, 2);
  t.same(reads, ['readSession', 'readHistory']);
  t.equal(bench.model.requests[1]?.messages.length, 3);
});

void t.test('the model is asked while the message is being stored, and nothing is told before it is', async (t) => {
  const bench = await startBench(t);
  const { script, asked } = watched('one');
  bench.model.next(script);
  const { goOn } = holdCommit(bench.store);
  const said = bench.say('first');
  await asked;
  await bench.request('collect-metrics', {});
  t.same(bench.types(), []);
  goOn();
  t.match(await said, { turn: 1 });
  await bench.turnEnd(1);
  t.same(bench.types().slice(0, 3), ['message:accepted', 'turn:start', 'text:delta']);
});

void t.test('a message that the store refuses ends the request that was made for it', async (t) => {
  const bench = await startBench(t);
  const { script, asked, aborted } = watched('never');
  bench.model.next(script, says('one'));
  const { goOn } = holdCommit(bench.store);
  const said = bench.say('first');
  said.catch(() => undefined);
  await asked;
  goOn(new Error('refused'));
  await t.rejects(said, { code: 'ERR_UNAVAILABLE' });
  await aborted;
  t.same(bench.durable(), []);
  t.same(await bench.store.readHistory(OF.session), []);
});

void t.test('a repeated message asks the model nothing', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('one'));
  await bench.say('hi', 'm-1');
  await bench.turnEnd(1);
  t.match(await bench.say('hi', 'm-1'), { turn: 1, duplicate: true });
  await bench.stop();
  await bench.start();
  t.match(await bench.say('hi', 'm-1'), { turn: 1, duplicate: true });
  t.equal(bench.model.requests.length, 1);
});

void t.test(
  'a session that another server has written meanwhile is read again, and its request made anew',
  async (t) => {
    const bench = await startBench(t);
    const stale = watched('never');
    bench.model.next(says('one'), stale.script, says('three'));
    await turn(bench, 1);
    const other = await openStore('lmdb', parseConfig({}, {}, bench.dir), { owner: 'server-2' });
    t.teardown(() => other.close());
    const row = await other.takeOver(OF.session);
    await other.commit(OF.session, {
      events: [{ seq: row!.seq + 1, json: '{"type":"history:cleared"}' }],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'elsewhere' }] }],
    });
    const [said, attached] = await Promise.all([bench.say('here again'), bench.attach(row!.seq)]);
    t.match(said, { turn: 2, duplicate: false });
    t.match(
      attached,
      [{ type: 'session:ready' }, { type: 'history:cleared' }],
      'who attaches meanwhile sees it as it is',
    );
    await bench.turnEnd(2);
    await stale.aborted;
    t.match(bench.gone, [{ session: OF.session }], 'its clients come back');
    t.match(JSON.stringify(bench.model.requests.at(-1)?.messages), /elsewhere.*here again/);
  },
);

void t.test(
  'a history that was full when the session was here last, and was cleared elsewhere, takes messages',
  async (t) => {
    const bench = await startBench(t, { store: { history: { maxBytes: 400 } } });
    bench.model.next(says('x'.repeat(300)), says('two'));
    await turn(bench, 1);
    await t.rejects(bench.say('y'.repeat(200)), { code: 'ERR_HISTORY_FULL' });
    await t.rejects(bench.say('y'.repeat(200)), { code: 'ERR_HISTORY_FULL' });
    const other = await openStore('lmdb', parseConfig({}, {}, bench.dir), { owner: 'server-2' });
    t.teardown(() => other.close());
    const row = await other.takeOver(OF.session);
    await other.commit(OF.session, {
      events: [{ seq: row!.seq + 1, json: '{"type":"history:cleared"}' }],
      clearHistory: true,
      row: { history: { bytes: 0, messages: 0, clears: 1 } },
    });
    t.match(await bench.say('y'.repeat(200)), { turn: 2 });
    await bench.turnEnd(2);
    t.equal(bench.model.requests[1]?.messages.length, 1);
  },
);

void t.test('a deleted session is gone, though it was here lately', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('one'));
  await turn(bench, 1);
  await bench.store.deleteSession(OF.session);
  await t.rejects(bench.say('hello'), { code: 'ERR_NO_SUCH_SESSION' });
  await t.rejects(bench.request('submit-message', { ...OF, user: 'somebody-else', content: [] }), {
    code: 'ERR_NO_SUCH_SESSION',
  });
});

void t.test('a session of another user is not recalled for them', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('one'));
  await turn(bench, 1);
  const theirs = bench.request('submit-message', { ...OF, user: 'somebody-else', content: [] });
  await t.rejects(theirs, { code: 'ERR_NO_SUCH_SESSION' });
});

void t.test('a drain while a recalled session stores a message leaves the turn to the restart', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('one'), says('dropped'), says('two'));
  await turn(bench, 1);
  const { goOn } = holdCommit(bench.store);
  const said = bench.say('second');
  const drained = bench.request('drain', { graceMs: 10_000 });
  goOn();
  await Promise.all([said, drained]);
  t.match(await bench.store.readSession(OF.session), { openTurns: [{ turn: 2 }] });
  await bench.stop();
  await bench.start();
  t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
});

void t.test('what is kept is bounded in bytes, the least recently used goes first', async (t) => {
  const recent = new RecentSessions(100_000);
  for (let n = 0; n < 100; n++) recent.keep(known(`s-${n}`, 1_000));
  t.ok(recent.bytes <= 100_000, `${recent.bytes}`);
  t.equal(recent.take({ session: 's-0', user: 'u' }), undefined);
  t.match(recent.take({ session: 's-99', user: 'u' }), { row: { session: 's-99' } });
  t.equal(recent.take({ session: 's-99', user: 'u' }), undefined, 'it is given to one log alone');
  recent.keep(known('long', 50_000));
  t.equal(recent.take({ session: 'long', user: 'u' }), undefined, 'one long history does not push out everybody else');
});

void t.test('a row with an open turn, or without a transcript, is not kept', async (t) => {
  const recent = new RecentSessions(100_000);
  const row = newRow({ session: 's', user: 'u' });
  recent.keep({ row });
  recent.keep({ row: { ...row, openTurns: [{ turn: 1 }] }, transcript: [] });
  recent.keep(undefined);
  t.equal(recent.bytes, 0);
});

void t.test('a row that was read again keeps its transcript only if nobody has written it', async (t) => {
  const recent = new RecentSessions(100_000);
  const row = newRow({ session: 's', user: 'u', seq: 7 });
  recent.keep({ row, transcript: [], ids: ['a'] });
  t.same(recent.refresh({ ...row, owner: 'server-2' }), {
    row: { ...row, owner: 'server-2' },
    transcript: [],
    ids: ['a'],
  });
  recent.keep({ row, transcript: [] });
  t.same(recent.refresh({ ...row, seq: 8 }), { row: { ...row, seq: 8 } });
});
