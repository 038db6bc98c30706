import t from 'tap';
import { registry } from '../../../../src/shared/metrics.js';
import { McpSessions, type McpSession, type McpSessionsOptions } from '../../../../workers/agent/serve/mcp-sessions.js';
import { deferred } from '../../../helpers/processes.js';

function make(options: Partial<McpSessionsOptions> = {}): { sessions: McpSessions; closed: string[] } {
  registry.removeSingleMetric('fairlead_served_mcp_sessions'); // each real agent thread has a registry of its own
  const closed: string[] = [];
  const sessions = new McpSessions({
    maxPerUser: 2,
    idleMs: 60_000,
    onClosed: ({ id }, why) => closed.push(`${id} ${why}`),
    ...options,
  });
  return { sessions, closed };
}

function session(id: string, user = 'ann', more: Partial<McpSession> = {}): McpSession {
  const ours = id.split('.')[0]!;
  // What they would close is not this module's.
  const parts = {} as Pick<McpSession, 'mcp' | 'transport'>;
  return {
    id,
    user,
    session: ours,
    owned: true,
    ...parts,
    open: 0,
    used: false,
    usedAt: performance.now(),
    ...more,
  };
}

t.test('only its user finds an MCP session', async (t) => {
  const { sessions } = make();
  t.teardown(() => sessions.closeAll());
  const one = session('a.1');
  sessions.add(one);
  t.equal(sessions.find('a.1', 'ann'), one);
  t.equal(sessions.find('a.1', 'bob'), undefined);
  t.equal(sessions.find('a.2', 'ann'), undefined);
});

t.test('a user’s least recently used MCP session makes room, unless all are in use', async (t) => {
  const { sessions, closed } = make();
  t.teardown(() => sessions.closeAll());
  const [one, two] = [session('a.1', 'ann', { usedAt: 1 }), session('b.1', 'ann', { usedAt: 2 })];
  for (const each of [one, two, session('c.1', 'bob')]) sessions.add(each);
  sessions.find('a.1', 'ann');
  sessions.makeRoom('ann');
  t.strictSame(closed, ['b.1 idle']);
  sessions.add(session('d.1', 'ann', { open: 1 }));
  one.open = 1;
  t.throws(() => sessions.makeRoom('ann'), { code: 'ERR_TOO_MANY_SOCKETS' });
  sessions.makeRoom('bob');
});

t.test('MCP sessions close with their Fairlead session, each reported once', async (t) => {
  const { sessions, closed } = make();
  t.teardown(() => sessions.closeAll());
  const one = session('a.1', 'ann', { open: 1 });
  for (const each of [one, session('a.2'), session('b.1', 'bob')]) sessions.add(each);
  t.ok(sessions.isActive('a'));
  sessions.release('a');
  sessions.close(one, 'deleted');
  t.strictSame(closed, ['a.1 gone', 'a.2 gone']);
  t.notOk(sessions.isActive('a'));
});

t.test('an unused MCP session leaves memory, one with an open request stays', async (t) => {
  const left = deferred<string>();
  const { sessions } = make({ idleMs: 5, onClosed: ({ id }, why) => left.resolve(`${id} ${why}`) });
  t.teardown(() => sessions.closeAll());
  sessions.add(session('a.1', 'ann', { open: 1, usedAt: 0 }));
  sessions.add(session('b.1', 'ann', { usedAt: 0 }));
  t.equal(await left.promise, 'b.1 idle');
  t.ok(sessions.find('a.1', 'ann'));
});
