/** Who may see and change sessions of others, by role; each way beyond it is refused beside its allowed twin. */
import t, { type Test } from 'tap';
import { auditTo } from '../../../../src/shared/audit.js';
import { hashToken } from '../../../../src/shared/token-file.js';
import { startFront, type Fixture } from '../front-fixture.js';

type Entry = { what: string; outcome: string; user?: string; session?: string; about?: Record<string, unknown> };

const PEOPLE = ['ada', 'olga', 'root'] as const;
type Person = (typeof PEOPLE)[number];

const token = (person: Person): string => `flt_${person}`;
const TOKENS = [
  { user: 'ada', sha256: hashToken(token('ada')) },
  { user: 'olga', sha256: hashToken(token('olga')), role: 'operator' },
  { user: 'root', sha256: hashToken(token('root')), role: 'admin' },
];

interface World {
  fixture: Fixture;
  /** A session of ada's. */
  session: string;
  ask: (person: Person, method: string, path: string) => Promise<{ status: number; text: string }>;
  entries: Entry[];
}

async function world(t: Test, auth: object = {}): Promise<World> {
  const fixture = await startFront({ auth: { mode: 'token', tokens: TOKENS, ...auth } });
  t.teardown(() => fixture.close());
  const entries: Entry[] = [];
  const post = (entry: string): void => void entries.push(JSON.parse(entry) as Entry);
  auditTo({ arguments: 'digest', post, stored: async (entry) => post(entry) });
  t.teardown(() => auditTo(undefined));
  const ask: World['ask'] = async (person, method, path) => {
    const headers = { authorization: `Bearer ${token(person)}` };
    const answer = await fetch(`http://127.0.0.1:${fixture.port}${path}`, { method, headers });
    return { status: answer.status, text: await answer.text() };
  };
  const made = await ask('ada', 'POST', '/v1/sessions');
  const { session } = JSON.parse(made.text) as { session: string };
  return { fixture, session, ask, entries };
}

const WAYS: [method: string, path: string, allowed: Record<Person, number>][] = [
  ['GET', '/v1/admin/system', { ada: 403, olga: 200, root: 200 }],
  ['GET', '/v1/admin/sessions', { ada: 403, olga: 200, root: 200 }],
  ['GET', '/v1/admin/sessions/ID', { ada: 403, olga: 200, root: 200 }],
  ['POST', '/v1/admin/sessions/ID/cancel', { ada: 403, olga: 403, root: 200 }],
  ['POST', '/v1/admin/sessions/ID/end', { ada: 403, olga: 403, root: 200 }],
  ['POST', '/v1/admin/users/ada/kick', { ada: 403, olga: 403, root: 200 }],
  ['GET', '/v1/admin/sessions/ID/history', { ada: 403, olga: 403, root: 403 }],
  ['GET', '/v1/sessions/ID', { ada: 200, olga: 404, root: 404 }],
  ['GET', '/v1/sessions/ID/history?limit=1', { ada: 200, olga: 404, root: 404 }],
  ['DELETE', '/v1/sessions/ID', { root: 404, olga: 404, ada: 204 }],
];

for (const [method, path, allowed] of WAYS) {
  t.test(`${method} ${path}: each role gets what is its own`, async (t) => {
    const { session, ask } = await world(t);
    for (const [person, status] of Object.entries(allowed) as [Person, number][]) {
      const answer = await ask(person, method, path.replace('ID', session));
      t.equal(answer.status, status, `${person}: ${answer.text.slice(0, 200)}`);
    }
  });
}

t.test('an administrator deletes a session of somebody else, and that is recorded before', async (t) => {
  const { session, ask, entries, fixture } = await world(t);
  t.equal((await ask('olga', 'DELETE', `/v1/admin/sessions/${session}`)).status, 403);
  t.ok(fixture.agent.sessions.has(session));
  t.equal((await ask('root', 'DELETE', `/v1/admin/sessions/${session}`)).status, 204);
  t.notOk(fixture.agent.sessions.has(session));
  const about = { act: 'session_deleted', owner: 'ada' };
  t.match(
    entries.filter(({ what, outcome }) => what === 'admin' && outcome === 'ok'),
    [{ user: 'root', session, about }],
  );
});

t.test('whoever tries what is beyond their role is recorded, at a bounded rate', async (t) => {
  const { session, ask, entries } = await world(t);
  const attempts: [Person, string, string, string, string][] = [
    ['olga', 'DELETE', `/v1/admin/sessions/${session}`, 'admin', 'DELETE /v1/admin/sessions/:session'],
    ['ada', 'GET', '/v1/admin/system', 'admin', 'GET /v1/admin/system'],
    ['ada', 'POST', '/v1/admin/users/x%0Ay/kick', 'admin', 'POST /v1/admin/users/:user/kick'],
    ['root', 'GET', `/v1/admin/sessions/${session}/history`, 'support_look', 'GET /v1/admin/sessions/:session/history'],
  ];
  for (const [person, method, path, what, act] of attempts) {
    t.equal((await ask(person, method, path)).status, 403);
    const tried = { what, outcome: 'refused', user: person, credential: 'file', about: { act, code: 'ERR_FORBIDDEN' } };
    t.match(entries.at(-1), tried);
    t.equal(entries.at(-1)?.session, path.includes(session) ? session : undefined);
  }
  const before = entries.length;
  for (let request = 0; request < 60; request++) await ask('ada', 'GET', '/v1/admin/system');
  t.ok(entries.length - before < 30, `${entries.length - before} of sixty`);
  await ask('olga', 'DELETE', `/v1/admin/sessions/${session}`);
  t.match(entries.at(-1), { user: 'olga', about: { unrecorded: Number } });
});

t.test('with auth.support an admin reads a session: recorded, told to its owner, and only then read', async (t) => {
  const { session, ask, entries, fixture } = await world(t, { support: true });
  const path = `/v1/admin/sessions/${session}/history`;
  t.equal((await ask('olga', 'GET', path)).status, 403, 'an operator does not');
  t.same(
    entries.filter(({ what, outcome }) => what === 'support_look' && outcome === 'ok'),
    [],
  );
  fixture.agent.overrides.set('tell-look', () => {
    throw new Error('the owner cannot be told');
  });
  t.equal((await ask('root', 'GET', path)).status, 500, 'who cannot be told is not looked at');
  fixture.agent.overrides.delete('tell-look');
  const looked = await ask('root', 'GET', path);
  t.equal(looked.status, 200);
  t.match(JSON.parse(looked.text), { transcript: [] });
  t.match(await fixture.agent.asked('tell-look'), { session, admin: 'root' });
  t.match(
    entries.findLast(({ what }) => what === 'support_look'),
    { user: 'root', session, about: { owner: 'ada' } },
  );
});
