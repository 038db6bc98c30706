/** What an operator sees of everybody's sessions, on Redis and from two servers. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { dockerHost } from '../helpers/docker.js';
import { startEngine, type Engine } from '../helpers/engine.js';
import { startStack } from '../helpers/stack.js';

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
const stack = await startStack({ config });
t.teardown(() => stack.stop());
const { engine: a, redis } = stack;
const b = await startEngine({ config, env: { REDIS_URL: redis.url, DOCKER_HOST: dockerHost() } });
t.teardown(() => b.stop());

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
