import t from 'tap';
import type { Who } from '../../../../src/shared/person.js';
import { OF, startBench } from '../agent-bench.js';
import { says } from '../scripted-model.js';

const who = (role: Who['role'], ...groups: string[]): Who => ({ role, groups, credential: 'file', address: '::1' });
const content = [{ type: 'text' as const, text: 'hi' }];

void t.test('a session keeps the role and the groups with which its last message was accepted', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('one'), says('two'), says('three'));
  const stored = async (): Promise<unknown> => (await bench.store.readSession(OF.session))?.who;
  await bench.request('submit-message', { ...OF, content, who: who('operator', 'staff', '/eu') });
  await bench.turnEnd(1);
  t.same(await stored(), { role: 'operator', groups: ['staff', '/eu'] }, 'neither credential nor address');
  await bench.request('attach', { ...OF, resumed: true, who: who('admin') });
  t.same(await stored(), { role: 'operator', groups: ['staff', '/eu'] }, 'who only looks changes nothing');
  await bench.request('submit-message', { ...OF, content, who: who('operator', 'staff') });
  await bench.turnEnd(2);
  t.same(await stored(), { role: 'operator', groups: ['staff'] });
  await bench.request('submit-message', { ...OF, content });
  await bench.turnEnd(3);
  t.same(await stored(), { role: 'user', groups: [] }, 'rights that are not said are none');
});

void t.test('a session has from its first moment the rights of who made it', async (t) => {
  const bench = await startBench(t);
  await bench.request('create-session', { user: 'user-1', session: 'session-2', who: who('admin', 'staff') });
  t.same((await bench.store.readSession('session-2'))?.who, { role: 'admin', groups: ['staff'] });
});

void t.test('session:ready says who is attached, as what, and until when', async (t) => {
  const bench = await startBench(t);
  const ready = async (asked?: Who): Promise<unknown> => {
    const { frames } = await bench.request('attach', { ...OF, resumed: true, ...(asked && { who: asked }) });
    return JSON.parse(frames[0]!.json);
  };
  t.match(await ready({ ...who('operator', 'staff'), expiresAt: 5 }), {
    user: 'user-1',
    role: 'operator',
    expiresAt: 5,
  });
  const plain = await ready();
  t.match(plain, { user: 'user-1', role: 'user' });
  t.notOk(Object.hasOwn(plain as object, 'expiresAt'));
});

void t.test(
  'the first request of a turn has the tools of who has sent its message, and not of the one before',
  async (t) => {
    const kept = { workspace: { image: 'fairlead/workspace', groups: ['staff'] } };
    const bench = await startBench(t, { mcpServers: kept });
    bench.model.next(says('one'), says('two'), says('three'));
    const toolsOf = (request: number): number => bench.model.requests[request]!.tools.length;
    await bench.request('submit-message', { ...OF, content, who: who('user', 'guests') });
    t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
    await bench.request('submit-message', { ...OF, content, who: who('user', 'staff') });
    t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
    await bench.request('submit-message', { ...OF, content, who: who('user', 'guests') });
    await bench.turnEnd(3);
    t.same([toolsOf(0), toolsOf(2)], [0, 0]);
    t.ok(toolsOf(1) > 0);
  },
);
