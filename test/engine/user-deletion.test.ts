/** A user is deleted with everything that is theirs: at two servers on one Redis, over a kill -9, and in the embedded store. Real Docker. */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from 'redis';
import t, { type Test } from 'tap';
import { startEngine, type Engine } from '../helpers/engine.js';
import { text, tool } from '../helpers/model-server.js';
import { deferred, within } from '../helpers/processes.js';
import { startTwoServers } from '../helpers/two-servers.js';
import { until } from '../helpers/until.js';
import { connect, type TestClient } from '../helpers/ws-client.js';
import { runCli } from '../src/cli/spawn-cli.js';

const SOON_MS = 60_000;
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const people = ['ada', 'bob', 'cy'].map((user) => ({ user, sha256: sha256(`token-of-${user}`) }));
const config = {
  auth: {
    tokens: [
      ...people,
      { user: 'olga', sha256: sha256('token-of-olga'), role: 'operator' },
      { user: 'root', sha256: sha256('token-of-root'), role: 'admin' },
      { user: 'toor', sha256: sha256('token-of-toor'), role: 'admin' },
    ],
  },
  quotas: { default: { maxTurns: 100, maxHistoryBytes: 100_000_000, maxWorkspaceBytes: 100_000_000 } },
};
const { a, b, model, redis, env } = await startTwoServers(t, { config, docker: true });

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

async function ask(engine: Engine, who: string, method: string, path: string, body?: object): Promise<Answer> {
  const answer = await fetch(engine.url + path, {
    method,
    headers: { authorization: `Bearer token-of-${who}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const told = await answer.text();
  return { status: answer.status, body: told === '' ? {} : (JSON.parse(told) as Record<string, unknown>) };
}

const closed = (client: TestClient): Promise<{ code: number; reason: string }> =>
  within(client.closed, SOON_MS, () => 'the socket is still open');

/** A session with files in a sandbox, and a turn that runs. */
async function busy(t: Test, engine: Engine, user: string): Promise<{ client: TestClient; session: string }> {
  const held = deferred<void>();
  t.teardown(() => held.resolve());
  const client = await connect(engine.wsUrl, { token: `token-of-${user}` });
  const { session } = await client.ready;
  model.enqueue(tool('run_command', { command: 'echo kept > file' }), text('done'));
  client.say('write');
  client.approve((await client.waitFor('tool:approval_required')).callId);
  await client.turnEnd(1);
  model.enqueue({ blocks: [{ text: 'working ' }, { gate: held.promise, text: 'for ever' }] });
  client.say('work');
  await client.waitFor('text:delta');
  return { client, session };
}

async function deleted(engine: Engine, who: string, user: string): Promise<void> {
  const gone = async (): Promise<boolean> => {
    const { status, body } = await ask(engine, who, 'DELETE', `/v1/admin/users/${user}`);
    return status === 404 || body['deleted'] === true;
  };
  await until(`${user} is deleted`, gone, { timeoutMs: SOON_MS });
}

/** A server that has not heard of a deletion's end keeps its user out for a moment more. */
function letIn(engine: Engine, user: string): Promise<void> {
  const answers = async (): Promise<boolean> => (await ask(engine, user, 'GET', '/v1/sessions')).status === 200;
  return until(`${user} is let in again`, answers, { timeoutMs: SOON_MS });
}

/** Everything in the store that names the user or the session, but for what is kept for a day so that all servers learn of it. */
async function traces(words: readonly string[]): Promise<string[]> {
  const client = await createClient({ url: redis.url }).connect();
  try {
    const found: string[] = [];
    for (const key of await client.keys('*')) {
      const kind = await client.type(key);
      const held =
        kind === 'hash'
          ? JSON.stringify(await client.hGetAll(key))
          : kind === 'zset'
            ? JSON.stringify(await client.zRange(key, 0, -1))
            : '';
      if (words.some((word) => `${key} ${held}`.includes(word)) && !/credentials/.test(key))
        found.push(`${key} ${held}`);
    }
    return found;
  } finally {
    client.destroy();
  }
}

t.test('everything of a user goes, at both servers, while a turn runs; nobody else notices', async (t) => {
  const { client, session } = await busy(t, b, 'ada');
  const other = await connect(b.wsUrl, { token: 'token-of-bob' });
  t.teardown(() => other.close());
  await other.ready;
  const made = await ask(a, 'root', 'POST', '/v1/admin/tokens', { user: 'ada' });
  t.equal(made.status, 201);
  t.match(await ask(a, 'olga', 'GET', '/v1/admin/users/ada'), {
    status: 200,
    body: { user: 'ada', sessions: 1, tokens: 1 },
  });
  t.equal((await ask(a, 'olga', 'DELETE', '/v1/admin/users/ada')).status, 403);
  t.equal((await ask(a, 'root', 'DELETE', '/v1/admin/users/root')).status, 403, 'nobody deletes themselves');
  const cli = await runCli(t, ['admin', 'users', 'delete', 'ada', '--yes', '--url', a.url], {
    env: { FAIRLEAD_TOKEN: 'token-of-root' },
  });
  t.match(cli, { code: 0, stdout: /ada is deleted/ }, cli.stderr);
  t.match(await closed(client), { code: 4403, reason: /being deleted/ });
  t.same(await traces(['ada', session]), []);
  t.equal((await ask(a, 'root', 'GET', '/v1/admin/users/ada')).status, 404);
  t.equal((await ask(a, 'root', 'DELETE', '/v1/admin/users/ada')).status, 404);
  t.match((await ask(a, 'root', 'GET', '/v1/admin/tokens?user=ada')).body, { tokens: [] });
  t.equal((await ask(a, 'ada', 'GET', '/v1/sessions')).status, 200, 'at once where it was done');
  await letIn(b, 'ada');
  for (const engine of [a, b]) {
    t.notMatch(readdirSync(join(engine.dataDir, 'workspaces')).join(' '), session);
    t.match((await ask(engine, 'ada', 'GET', '/v1/sessions')).body, { sessions: [] }, 'who comes back is new');
  }
  model.enqueue(text('still here'));
  t.match(await other.ask('hello'), { stopReason: 'end_turn' });
});

t.test(
  'a deletion that a kill -9 cuts goes on when the server starts, and until then the user stays out',
  async (t) => {
    const made = await Promise.all(Array.from({ length: 20 }, () => ask(b, 'bob', 'POST', '/v1/sessions', {})));
    t.ok(made.every(({ status }) => status === 201));
    // While it stands still its sessions are waited for, so that the deletion cannot be over before the kill.
    b.signal('SIGSTOP');
    const cut = ask(a, 'root', 'DELETE', '/v1/admin/users/bob').catch(() => undefined);
    const begun = async (engine: Engine): Promise<boolean> =>
      'deleting' in (await ask(engine, 'olga', 'GET', '/v1/admin/users/bob')).body;
    await until('the deletion has begun', () => begun(a), { timeoutMs: SOON_MS });
    a.signal('SIGKILL');
    await a.exited;
    await cut;
    b.signal('SIGCONT');
    await until('the other server knows of the deletion', () => begun(b), { timeoutMs: SOON_MS });
    t.match(await ask(b, 'bob', 'GET', '/v1/sessions'), { status: 403, body: { code: 'ERR_BLOCKED' } });
    await a.start();
    const gone = async (): Promise<boolean> => (await ask(b, 'olga', 'GET', '/v1/admin/users/bob')).status === 404;
    await until('bob is gone', gone, { timeoutMs: SOON_MS });
    t.same(await traces(['bob']), []);
  },
);

t.test('two administrators at two servers at once, and names that nobody can have', async (t) => {
  await ask(a, 'cy', 'POST', '/v1/sessions', {});
  await Promise.all([deleted(a, 'root', 'cy'), deleted(b, 'toor', 'cy')]);
  t.same(await traces(['"cy"', ':cy']), []);
  await letIn(a, 'cy');
  t.equal((await ask(a, 'cy', 'POST', '/v1/sessions', {})).status, 201, 'and the name is free');
  for (const name of ['..%2Fx', 'a%0Ab', 'x'.repeat(200), '%20']) {
    t.match((await ask(a, 'root', 'DELETE', `/v1/admin/users/${name}`)).status, /^4\d\d$/, name.slice(0, 10));
  }
  t.equal((await ask(a, 'root', 'DELETE', '/v1/admin/users/nobody')).status, 404);
});

t.test('in the embedded store nothing of a user is left either', async (t) => {
  const alone = await startEngine({ config, env });
  t.teardown(() => alone.stop());
  const { client, session } = await busy(t, alone, 'ada');
  await deleted(alone, 'root', 'ada');
  t.match(await closed(client), { code: 4403 });
  t.notMatch(readdirSync(join(alone.dataDir, 'workspaces')).join(' '), session);
  t.equal((await ask(alone, 'olga', 'GET', '/v1/admin/users/ada')).status, 404);
  const used = (await ask(alone, 'olga', 'GET', '/v1/admin/usage?by=user')).body;
  t.notMatch(JSON.stringify(used), 'ada');
});
