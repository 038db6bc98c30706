import t from 'tap';
import { newProgress } from '../../../../workers/agent/log/progress.js';
import type { SessionRow } from '../../../../workers/agent/store/store.js';
import { OF, startBench } from '../agent-bench.js';
import { callsTools, says } from '../scripted-model.js';
import { newRow } from '../store/store-backend.js';

const echo = (id: string) => ({ id, name: 'echo', input: { text: id } });

/** With one call that waits, and is long. */
function waits(callId: string, expiresAt: number): SessionRow {
  const args = { text: 'x'.repeat(1_500_000) };
  const call = { callId, name: 'echo', server: 'workspace', args, position: 1, total: 1, expiresAt };
  const openTurns = [{ turn: 1, progress: { ...newProgress('model-1'), calls: [call] } }];
  return newRow({ user: OF.user, session: `long-${callId}`, openTurns });
}

void t.test('what waits in all sessions of a user is one answer, oldest first, and of that user alone', async (t) => {
  const bench = await startBench(t);
  const other = { ...OF, session: 'session-2' };
  await bench.request('create-session', other);
  bench.model.next(callsTools([echo('c-1'), echo('c-2')]));
  await bench.say('go');
  await bench.event('tool:approval_required', ({ callId }) => callId === 'c-2');
  bench.model.next(callsTools([echo('c-3')]));
  await bench.request('submit-message', { ...other, content: [{ type: 'text', text: 'and you' }] });
  await bench.event('tool:approval_required', ({ callId }) => callId === 'c-3');

  const { waiting, more } = await bench.request('list-waiting', { user: OF.user });
  t.match(waiting, [
    { session: OF.session, title: 'go', kind: 'approval', callId: 'c-1', args: { text: 'c-1' }, position: 1, total: 2 },
    { session: OF.session, callId: 'c-2', tool: { definition: /.+/ } },
    { session: other.session, title: 'and you', callId: 'c-3' },
  ]);
  t.equal(more, undefined);
  t.same(await bench.request('list-waiting', { user: 'somebody else' }), { waiting: [] });

  await bench.request('answer-approval', { ...OF, callId: 'c-1', approved: false });
  const left = await bench.request('list-waiting', { user: OF.user });
  t.same(
    left.waiting.map((each) => each.kind === 'approval' && each.callId),
    ['c-2', 'c-3'],
  );
});

void t.test('a list that would be too long ends, and says so; so does one of very many sessions', async (t) => {
  const bench = await startBench(t);
  for (const [callId, at] of [['c-1', 3] as const, ['c-2', 1] as const, ['c-3', 2] as const]) {
    await bench.store.createSession(waits(callId, Date.now() + at * 60_000));
  }
  const { waiting, more } = await bench.request('list-waiting', { user: OF.user });
  t.same(
    waiting.map((each) => each.kind === 'approval' && each.callId),
    ['c-2', 'c-3'],
  );
  t.equal(more, true);

  const rows = Array.from({ length: 500 }, (_, count) => newRow({ user: 'busy', lastActiveAt: 2_000 + count }));
  await Promise.all(rows.map((row) => bench.store.createSession(row)));
  t.same(await bench.request('list-waiting', { user: 'busy' }), { waiting: [] }, 'all were looked at');
  await bench.store.createSession(newRow({ user: 'busy' }));
  t.same(await bench.request('list-waiting', { user: 'busy' }), { waiting: [], more: true });
});

void t.test('a call that waits is read with the schema of its arguments; one that does not is refused', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([echo('c-1')]), says('ok'));
  await bench.say('go');
  await bench.event('tool:approval_required');
  const read = await bench.request('read-call', { ...OF, callId: 'c-1' });
  t.match(read, { callId: 'c-1', args: { text: 'c-1' }, schema: { type: 'object' } });
  t.notOk('allowKey' in read, 'what is for the server alone stays there');
  await t.rejects(bench.request('read-call', { ...OF, callId: 'c-9' }), { code: 'ERR_CALL_NOT_PENDING' });
  await t.rejects(bench.request('read-call', { ...OF, user: 'somebody else', callId: 'c-1' }), {
    code: 'ERR_NO_SUCH_SESSION',
  });
});
