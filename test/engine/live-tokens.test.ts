/** Tokens that are made while two servers run on one Redis: valid and revoked everywhere at once, and kept. */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from 'redis';
import t from 'tap';
import { auditFolder } from '../../src/audit/files.js';
import type { Engine } from '../helpers/engine.js';
import { within } from '../helpers/processes.js';
import { startTwoServers } from '../helpers/two-servers.js';
import { connect } from '../helpers/ws-client.js';
import { until } from '../helpers/until.js';
import { runCli } from '../src/cli/spawn-cli.js';

/** A second is the promise; a loaded machine gets more before the test gives up. */
const SOON_MS = 10_000;

const { a, b, redis } = await startTwoServers(t, {
  config: { auth: {}, store: { timeoutMs: 1_000 } },
  redisArgs: ['--appendonly', 'yes', '--appendfsync', 'always'],
});

/** What the server's audit log says of this token. */
function recorded({ dataDir }: Engine, id: string): string[] {
  const folder = auditFolder(dataDir);
  const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  const lines = texts.flatMap((text) => text.split('\n').filter((line) => line.includes(id)));
  return lines.map((line) => (JSON.parse(line) as { what: string }).what);
}

interface Made {
  id: string;
  token: string;
}

async function api(engine: Engine, token: string, path: string, method = 'GET', body?: object): Promise<Response> {
  return fetch(engine.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
}

async function make(engine: Engine, body: object = {}): Promise<Made> {
  const answer = await api(engine, await engine.token(), '/v1/admin/tokens', 'POST', { user: 'local', ...body });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Made;
}

/** Asks until the server answers with this status. */
async function untilStatus(engine: Engine, token: string, status: number): Promise<void> {
  const asked = async (): Promise<void> => {
    while ((await api(engine, token, '/v1/sessions')).status !== status) await delay(20); // reads have a rate
  };
  await within(asked(), SOON_MS, () => `no ${status} in time`);
}

t.test('a token is valid at once where it is made, soon at the other server, and after a restart', async (t) => {
  const { token, id } = await make(a, { note: 'for the test' });
  t.match(token, /^flt_[\w-]{43}$/);
  t.equal((await api(a, token, '/v1/sessions')).status, 200);
  await untilStatus(b, token, 200);
  t.equal((await api(b, token, '/v1/admin/tokens')).status, 403, 'a user is no admin');
  await b.restart();
  t.equal((await api(b, token, '/v1/sessions')).status, 200);
  const listed = (await (await api(b, await b.token(), '/v1/admin/tokens')).json()) as { tokens: object[] };
  const shown = listed.tokens.find((each) => (each as { id: string }).id === id);
  t.match(shown, { user: 'local', role: 'user', groups: [], note: 'for the test', createdBy: 'local' });
  t.match(shown, { lastUsedAt: Number, lastUsedFrom: '127.0.0.1' });
  t.notMatch(JSON.stringify(listed), token);
  t.notMatch(JSON.stringify(listed), /[0-9a-f]{64}/, 'nor its hash');
});

t.test('a revoked token closes its sockets and streams at both servers, and only its own', async (t) => {
  const [doomed, kept] = [await make(a), await make(a)];
  await untilStatus(b, doomed.token, 200);
  await untilStatus(b, kept.token, 200);
  const sockets = await Promise.all([a, b].map((engine) => connect(engine.wsUrl, { token: doomed.token })));
  const others = await Promise.all([a, b].map((engine) => connect(engine.wsUrl, { token: kept.token })));
  t.teardown(() => Promise.all(others.map((other) => other.close())));
  const [, there] = await Promise.all([...sockets, ...others].map((client) => client.ready));
  const stream = await api(b, doomed.token, `/v1/sessions/${there!.session}/events?after=0`);
  t.equal(stream.status, 200);
  const streamed = stream.text();
  const revoked = await api(a, await a.token(), `/v1/admin/tokens/${doomed.id}`, 'DELETE');
  t.equal(revoked.status, 204);
  t.equal((await api(a, doomed.token, '/v1/sessions')).status, 401, 'at once where it was revoked');
  for (const socket of sockets) {
    t.match(await within(socket.closed, SOON_MS, () => 'still open'), { code: 4401, reason: /revoked/ });
  }
  t.match(await within(streamed, SOON_MS, () => 'still streams'), /event: error\ndata: .*ERR_UNAUTHORIZED/);
  const late = await connect(b.wsUrl, { token: doomed.token });
  t.match(await late.closed, { code: 4401 });
  for (const other of others) t.match(await other.ask('hello'), { stopReason: 'end_turn' });
  const told = (): boolean => [a, b].every((engine) => recorded(engine, doomed.id).includes('credential_ended'));
  await until('both audit logs tell the end', told, { timeoutMs: SOON_MS });
  const acts = recorded(a, doomed.id).filter((what) => /^token|^cred/.test(what));
  t.strictSame(acts.toSorted(), ['credential_ended', 'token_made', 'token_revoked']);
  t.equal((await api(a, await a.token(), `/v1/admin/tokens/${doomed.id}`, 'DELETE')).status, 404);
});

t.test('a request whose body was on its way when its token was revoked is refused', async (t) => {
  const doomed = await make(a);
  const { session } = (await (await api(a, doomed.token, '/v1/sessions', 'POST', {})).json()) as { session: string };
  const body = JSON.stringify({ text: 'x'.repeat(100_000) });
  const asked = request(`${a.url}/v1/sessions/${session}/messages`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${doomed.token}`,
      'content-type': 'application/json',
      'content-length': body.length,
    },
  });
  t.teardown(() => asked.destroy());
  asked.write(body.slice(0, 50_000));
  await once(asked, 'socket');
  await api(a, await a.token(), '/v1/admin/tokens', 'GET'); // by then the server has the head
  t.equal((await api(a, await a.token(), `/v1/admin/tokens/${doomed.id}`, 'DELETE')).status, 204);
  asked.end(body.slice(50_000));
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  answer.resume();
  t.equal(answer.statusCode, 401);
  const shown = await api(a, await a.token(), `/v1/sessions/${session}`);
  t.match(await shown.json(), { turns: 0 });
});

t.test('what no token can be is refused with its field, and only an admin makes one', async (t) => {
  const admin = await a.token();
  const bad: object[] = [
    { user: '../x' },
    { user: 'a\nb' },
    { user: 'x'.repeat(10_000) },
    { user: '' },
    { role: 'root' },
    { groups: ['a\nb'] },
    { groups: Array.from({ length: 201 }, (_, index) => `g${index}`) },
    { groups: 'analysts' },
    { expiresInMs: 0 },
    { expiresInMs: 1e15 },
    { note: 'reads \u202e backwards' },
    { note: 'x'.repeat(201) },
    { sha256: 'f'.repeat(64) },
  ];
  for (const body of bad) {
    const answer = await api(a, admin, '/v1/admin/tokens', 'POST', { user: 'local', ...body });
    const [field = ''] = Object.keys(body);
    t.match(await answer.json(), { status: 400, code: 'ERR_BAD_FRAME', detail: new RegExp(field) }, field);
  }
  for (const query of ['limit=0', 'limit=x', 'cursor=x', 'cursor=-1']) {
    t.equal((await api(a, admin, `/v1/admin/tokens?${query}`)).status, 400, query);
  }
  const operator = await make(a, { role: 'operator' });
  const beyond = await api(a, operator.token, '/v1/admin/tokens', 'POST', { user: 'local', role: 'admin' });
  t.match(await beyond.json(), { status: 403, code: 'ERR_FORBIDDEN' });
  t.equal((await api(a, operator.token, `/v1/admin/tokens/${operator.id}`, 'DELETE')).status, 403);
});

t.test('an expired token lets nobody in', async (t) => {
  const { token } = await make(a, { expiresInMs: 1_000 });
  t.equal((await api(a, token, '/v1/sessions')).status, 200);
  await untilStatus(a, token, 401);
});

t.test(
  'while Redis is away known tokens go on, /readyz says how old they are, and a revocation is refused',
  async (t) => {
    const [known, doomed] = [await make(a), await make(a)];
    await untilStatus(b, known.token, 200);
    await untilStatus(b, doomed.token, 200);
    const socket = await connect(b.wsUrl, { token: doomed.token });
    await socket.ready;
    await redis.kill();
    const said = async (): Promise<void> => {
      while (!/tokens and blocks are those of \d+ s ago/.test(await (await fetch(`${b.url}/readyz`)).text()))
        await delay(20);
    };
    await within(said(), SOON_MS, () => '/readyz does not say it');
    const mcp = await api(b, known.token, '/v1/mcp');
    t.equal(mcp.status, 200, 'what needs no store is served');
    t.equal((await api(b, doomed.token, '/v1/mcp')).status, 200, 'as of the last reading');
    const failed = await api(a, await a.token(), `/v1/admin/tokens/${doomed.id}`, 'DELETE');
    t.equal(failed.status, 503, 'a revocation that was not stored is not told as one');
    await redis.restart();
    await b.waitForReadiness(200);
    t.equal((await api(a, await a.token(), `/v1/admin/tokens/${doomed.id}`, 'DELETE')).status, 204);
    t.match(await within(socket.closed, SOON_MS, () => 'still open'), { code: 4401 });
    t.equal((await api(b, known.token, '/v1/sessions')).status, 200);
  },
);

t.test('an emptied store knows no token, and no server goes on with those that it knew', async () => {
  const { token } = await make(a);
  await untilStatus(b, token, 200);
  const raw = createClient({ url: redis.url });
  await raw.connect();
  await raw.flushAll();
  raw.destroy();
  await untilStatus(b, token, 401);
  await untilStatus(a, token, 401);
});

t.test('the command line makes, lists and revokes tokens with the token of the data folder', async (t) => {
  const env = { FAIRLEAD_DATA: a.dataDir };
  const run = (...args: string[]): ReturnType<typeof runCli> => runCli(t, [...args, '--url', a.url], { env });
  const made = await run(
    'token',
    'create',
    'local',
    '--expires',
    '90d',
    '--role',
    'operator',
    '--group',
    'a',
    '--group',
    'b b',
    '--quiet',
  );
  t.equal(made.code, 0, made.stderr);
  const token = made.stdout.trim();
  t.equal((await api(a, token, '/v1/sessions')).status, 200);
  const listed = await run('token', 'list');
  const [, id = ''] =
    /^(tok_[\w-]+) +local +operator a b b +made .* by local +expires .* +used .* from 127\.0\.0\.1$/m.exec(
      listed.stdout,
    ) ?? [];
  t.match(id, /^tok_/, listed.stdout + listed.stderr);
  t.notMatch(listed.stdout, token);
  t.equal((await run('token', 'revoke', id)).code, 0);
  t.equal((await api(a, token, '/v1/sessions')).status, 401);
  const again = await run('token', 'revoke', id);
  t.equal(again.code, 1);
  t.match(again.stderr, `no token ${id}`);
  t.match((await run('token', 'create', 'local', '--expires', 'soon')).stderr, /write 90d/);
  const other = await run('token', 'create', 'ada');
  t.equal(other.code, 1);
  t.match(other.stderr, /without isolation/, 'processes keep nobody apart');
  t.match((await run('user', 'block', 'local')).stderr, /nobody can block themselves/);
  t.match((await run('user', 'list')).stdout, /no user has a token|local +\d+ tokens/);
});
