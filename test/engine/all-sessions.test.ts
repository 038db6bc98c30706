/** What an operator sees of everybody's sessions, on Redis and from two servers. */
import { createHash } from 'node:crypto';
import t from 'tap';
import type { Engine } from '../helpers/engine.js';
import { startTwoServers } from '../helpers/two-servers.js';
import { until } from '../helpers/until.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const config = {
  auth: {
    tokens: [
      { user: 'olga', sha256: sha256('token-of-olga'), role: 'operator' },
      { user: 'root', sha256: sha256('token-of-root'), role: 'admin' },
      { user: 'ada', sha256: sha256('token-of-ada') },
      { user: 'bob', sha256: sha256('token-of-bob') },
    ],
  },
};
const { a, b } = await startTwoServers(t, { config, docker: true });

interface Listed {
  sessions: { session: string; user: string; server: string }[];
  next?: string;
}

async function ask(engine: Engine, user: string, method: string, path: string): Promise<Response> {
  return fetch(engine.url + path, { method, headers: { authorization: `Bearer token-of-${user}` } });
}

async function make(engine: Engine, user: string): Promise<string> {
  const made = (await (await ask(engine, user, 'POST', '/v1/sessions')).json()) as { session: string };
  return made.session;
}

/** All pages of two. */
async function list(engine: Engine, more = ''): Promise<Listed['sessions']> {
  const found: Listed['sessions'] = [];
  for (let cursor = ''; ;) {
    const answer = await ask(engine, 'olga', 'GET', `/v1/admin/sessions?limit=2${more}${cursor}`);
    const page = (await answer.json()) as Listed;
    found.push(...page.sessions);
    if (page.next === undefined) return found;
    cursor = `&cursor=${encodeURIComponent(page.next)}`;
  }
}

t.test('an operator sees the sessions of all users at both servers, page by page, the newest first', async (t) => {
  const made: [session: string, user: string][] = [];
  for (const [engine, user] of [
    [a, 'ada'],
    [b, 'bob'],
    [a, 'ada'],
    [b, 'ada'],
    [a, 'bob'],
  ] as const) {
    made.push([await make(engine, user), user]);
  }
  for (const engine of [a, b]) {
    const all = await list(engine);
    t.same(new Map(all.map(({ session, user }) => [session, user])), new Map(made));
    t.equal(all.length, made.length, 'each once');
    t.equal(new Set(all.map(({ server }) => server)).size, 2, 'and whose server it is');
    const adas = await list(engine, '&user=ada');
    t.same(
      adas.map(({ user }) => user),
      ['ada', 'ada', 'ada'],
    );
    t.equal((await ask(engine, 'ada', 'GET', '/v1/admin/sessions')).status, 403);
  }
  const [gone] = made[0]!;
  t.equal((await ask(b, 'root', 'DELETE', `/v1/admin/sessions/${gone}`)).status, 204);
  for (const engine of [a, b]) {
    const left = await list(engine);
    t.same(
      left.map(({ session }) => session).toSorted(),
      made
        .slice(1)
        .map(([session]) => session)
        .toSorted(),
    );
  }
});

interface ListedUser {
  user: string;
  sessions: number;
  sockets: number;
  tokens: number;
  lastSeenAt?: number;
  blocked?: object;
}

/** All pages of one. */
async function users(engine: Engine): Promise<ListedUser[]> {
  const found: ListedUser[] = [];
  for (let after = ''; ;) {
    const answer = await ask(engine, 'olga', 'GET', `/v1/admin/users?limit=1&after=${encodeURIComponent(after)}`);
    const page = (await answer.json()) as { users: ListedUser[]; next?: string };
    found.push(...page.users);
    if (page.next === undefined) return found;
    after = page.next;
  }
}

t.test('an operator sees every user, wherever they are known from, at both servers and by name', async (t) => {
  const body = JSON.stringify({ user: 'dora' });
  const headers = { authorization: 'Bearer token-of-root', 'content-type': 'application/json' };
  t.equal((await fetch(`${a.url}/v1/admin/tokens`, { method: 'POST', headers, body })).status, 201);
  t.equal((await ask(a, 'root', 'POST', '/v1/admin/users/mallory/block')).status, 200);
  const client = await connect(b.wsUrl, { token: 'token-of-bob' });
  await client.ready;
  const isKnown = async (): Promise<boolean> => {
    const names = (await users(b)).map(({ user }) => user);
    return names.includes('dora') && names.includes('mallory');
  };
  await until('the other server has heard of the token and the block', isKnown, { timeoutMs: 60_000 });
  const [ada, bob, dora, mallory, ...others] = await users(b);
  t.match(ada, { user: 'ada', sessions: 2, sockets: 0, tokens: 0, lastSeenAt: Number });
  t.match(bob, { user: 'bob', sessions: 3, sockets: 1 });
  t.match(dora, { user: 'dora', sessions: 0, tokens: 1 });
  t.match(mallory, { user: 'mallory', sessions: 0, tokens: 0, blocked: { by: 'root' } });
  t.same(others, []);
  t.match(await users(a), [{ user: 'ada' }, { user: 'bob', sockets: 0 }, { user: 'dora' }, { user: 'mallory' }]);
  t.equal((await ask(a, 'ada', 'GET', '/v1/admin/users')).status, 403);
  await client.close();
});

async function as(token: string, path: string, method = 'GET'): Promise<Response> {
  return fetch(a.url + path, { method, headers: { authorization: `Bearer ${token}` } });
}

t.test('somebody lists and revokes their own tokens, and sees nothing of those of others', async (t) => {
  const headers = { authorization: 'Bearer token-of-root', 'content-type': 'application/json' };
  const make = async (body: object): Promise<{ id: string; token: string }> => {
    const made = await fetch(`${a.url}/v1/admin/tokens`, { method: 'POST', headers, body: JSON.stringify(body) });
    return (await made.json()) as { id: string; token: string };
  };
  const mine = await make({ user: 'erin', note: 'laptop' });
  const other = await make({ user: 'erin', note: 'phone' });
  const theirs = await make({ user: 'frank' });
  const listed = await (await as(mine.token, '/v1/tokens')).text();
  const { tokens } = JSON.parse(listed) as { tokens: { note: string }[] };
  t.same(
    tokens.map(({ note }) => note),
    ['laptop', 'phone'],
  );
  t.notOk(listed.includes(mine.token), 'the token itself is told once, when it is made');
  t.equal((await as(mine.token, `/v1/tokens/${theirs.id}`, 'DELETE')).status, 404);
  t.equal((await as(theirs.token, '/v1/sessions')).status, 200, 'it is valid still');
  const me = (await (await as(mine.token, '/v1/me')).json()) as object;
  t.match(me, { user: 'erin', role: 'user', credential: mine.id, limits: { maxSessions: Number } });
  t.equal((await as(mine.token, `/v1/tokens/${other.id}`, 'DELETE')).status, 204);
  t.equal((await as(other.token, '/v1/sessions')).status, 401);
});
