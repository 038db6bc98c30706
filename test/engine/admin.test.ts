/** An administrator acts on sessions and users at one server; the server that has them does it. Two servers on one Redis. */
import t from 'tap';
import type { Engine } from '../helpers/engine.js';
import { text } from '../helpers/model-server.js';
import { deferred, within } from '../helpers/processes.js';
import { startTwoServers } from '../helpers/two-servers.js';
import { connect, type TestClient } from '../helpers/ws-client.js';
import { runCli } from '../src/cli/spawn-cli.js';

const SOON_MS = 30_000;
const { a, b, model, redis } = await startTwoServers(t);

const closed = (client: TestClient): Promise<{ code: number; reason: string }> =>
  within(client.closed, SOON_MS, () => 'the socket is still open');

async function ask(
  engine: Engine,
  method: string,
  path: string,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await fetch(engine.url + path, { method });
  const body = await answer.text();
  return { status: answer.status, body: body === '' ? {} : (JSON.parse(body) as Record<string, unknown>) };
}

/** A session at B with a turn that runs and one in line. */
async function busy(): Promise<{ client: TestClient; session: string; free: () => void }> {
  const held = deferred<void>();
  model.enqueue({ blocks: [{ text: 'working ' }, { gate: held.promise, text: 'for ever' }] });
  const client = await connect(b.wsUrl);
  const { session } = await client.ready;
  client.say('work');
  await client.waitFor('text:delta');
  client.say('and this');
  await client.waitFor((event) => event.type === 'message:accepted' && event.queued === 1);
  return { client, session, free: () => held.resolve() };
}

t.test('a session that is ended at one server ends at the one that has it, and can be opened again', async (t) => {
  const { client, session, free } = await busy();
  t.teardown(free);
  const running = await ask(a, 'GET', '/v1/admin/sessions?state=running');
  t.match(running.body, { sessions: [{ session, running: true, queued: 1 }] });
  t.match(await ask(a, 'POST', `/v1/admin/sessions/${session}/end`), { status: 200, body: { session } });
  t.match(await closed(client), { code: 4405, reason: /an administrator has ended/ });
  t.same((await ask(a, 'GET', '/v1/admin/sessions?state=running')).body['sessions'], []);
  const again = await connect(b.wsUrl, { session, after: 0 });
  for (const turn of [1, 2]) t.match(await again.turnEnd(turn), { stopReason: 'cancelled' });
  model.enqueue(text('welcome back'));
  t.match(await again.ask('hello'), { stopReason: 'end_turn' });
  t.same(again.gaps(), []);
  await again.close();
});

t.test('a session that is deleted at one server is gone at the one that has it, in the middle of a turn', async (t) => {
  const { client, session, free } = await busy();
  t.teardown(free);
  const cli = await runCli(t, ['admin', 'sessions', 'delete', session, '--yes', '--json', '--url', a.url]);
  t.match(cli, { code: 0 }, cli.stderr);
  t.same(JSON.parse(cli.stdout), { deleted: session });
  t.match(await closed(client), { code: 4404 });
  for (const engine of [a, b]) t.equal((await ask(engine, 'GET', `/v1/sessions/${session}`)).status, 404);
  t.match(await ask(a, 'DELETE', `/v1/admin/sessions/${session}`), {
    status: 404,
    body: { code: 'ERR_NO_SUCH_SESSION' },
  });
});

t.test('where the server that has a session is gone, the one that is asked does it', async (t) => {
  const { session, free } = await busy();
  t.teardown(free);
  b.signal('SIGKILL');
  await b.exited;
  t.equal((await ask(a, 'POST', `/v1/admin/sessions/${session}/end`)).status, 200);
  t.match((await ask(a, 'GET', `/v1/admin/sessions/${session}`)).body, { running: false, queued: 0 });
  await b.start();
});

t.test('a user who is kicked loses every connection at both servers, and may come back', async (t) => {
  const clients = await Promise.all([a, b].map((engine) => connect(engine.wsUrl)));
  await Promise.all(clients.map((client) => client.ready));
  t.match((await ask(a, 'GET', '/v1/admin/users')).body, { users: [{ user: 'local', tokens: 0, sockets: 1 }] });
  const cli = await runCli(t, ['admin', 'users', 'kick', 'local', '--yes', '--url', a.url]);
  t.match(cli, { code: 0, stdout: /1 connections of local are closed at this server/ }, cli.stderr);
  for (const client of clients) t.match(await closed(client), { code: 4405 });
  const again = await connect(b.wsUrl);
  await again.ready;
  await again.close();
});

t.test('a page of sessions names the next one, also where only some fit', async (t) => {
  const made = await Promise.all([1, 2, 3].map(() => ask(a, 'POST', '/v1/sessions')));
  const ids = made.map(({ body }) => body['session']);
  const found: unknown[] = [];
  for (let path = '/v1/admin/sessions?state=idle&limit=1'; ;) {
    const { body } = await ask(a, 'GET', path);
    found.push(...(body['sessions'] as { session: string }[]).map(({ session }) => session));
    const { next } = body;
    if (typeof next !== 'string') break;
    path = `/v1/admin/sessions?state=idle&limit=1&after=${next}`;
  }
  t.equal(new Set(found).size, found.length, 'none twice');
  for (const id of ids) t.ok(found.includes(id));
  t.same((await ask(a, 'GET', '/v1/admin/sessions?unusedMs=86400000')).body['sessions'], []);
  t.same((await ask(a, 'GET', '/v1/admin/sessions?minBytes=1000000000')).body['sessions'], []);
  for (const bad of ['state=busy', 'unusedMs=x', 'minBytes=-1', 'limit=0', 'after=nonsense']) {
    t.match(await ask(a, 'GET', `/v1/admin/sessions?${bad}`), { status: 400, body: { code: 'ERR_BAD_FRAME' } }, bad);
  }
  const shown = await runCli(t, ['admin', 'sessions', 'list', '--limit', '2', '--url', a.url]);
  t.match(shown, { code: 0, stdout: /^SESSION +USER +STATE/ });
  t.match(shown.stdout, /more with --after/);
  const refused = await runCli(t, ['admin', 'sessions', 'delete', String(ids[0]), '--url', a.url]);
  t.match(refused, { code: 1, stderr: /--yes/ }, 'off a terminal');
  t.equal((await ask(a, 'GET', `/v1/sessions/${String(ids[0])}`)).status, 200, 'nothing was deleted');
});

t.test('with Redis away nothing is done, and that is said', async (t) => {
  const client = await connect(a.wsUrl);
  const { session } = await client.ready;
  let isOpen = true;
  void client.closed.then(() => (isOpen = false));
  await redis.kill();
  for (const [method, path] of [
    ['POST', `/v1/admin/sessions/${session}/end`],
    ['DELETE', `/v1/admin/sessions/${session}`],
    ['POST', '/v1/admin/users/local/kick'],
    ['GET', '/v1/admin/sessions'],
  ] as const) {
    const { status, body } = await ask(a, method, path);
    t.match({ status, code: body['code'] }, { status: 503 }, `${method} ${path}`);
  }
  t.ok(isOpen, 'its connection is as it was');
});
