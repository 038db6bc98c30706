/** A blocked user: connections close, turns stop and stay stopped, on every server of a store and over a restart. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { auditFolder } from '../../src/audit/files.js';
import type { Engine } from '../helpers/engine.js';
import { text, tool } from '../helpers/model-server.js';
import { startMcpHttpServer } from '../helpers/mcp-http-server.js';
import { deferred, within } from '../helpers/processes.js';
import { startTwoServers } from '../helpers/two-servers.js';
import { until } from '../helpers/until.js';
import { connect, type TestClient } from '../helpers/ws-client.js';
import { connectMcp } from '../src/front/routes/mcp-clients.js';

const SOON_MS = 20_000;
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
let working: () => Promise<string> = async () => 'done';
const docs = await startMcpHttpServer({
  tools: { slow: { description: 'Waits', answer: () => working() }, careful: { description: 'Is asked for' } },
});
t.teardown(() => docs.stop());
const config = {
  approvals: { rules: [{ server: 'docs', tool: 'slow', action: 'allow' }] },
  mcp: { allowLoopback: true },
  mcpServers: { docs: { url: docs.url } },
  auth: {
    tokens: [
      { user: 'olga', sha256: sha256('token-of-olga'), role: 'admin' },
      { user: 'ada', sha256: sha256('token-of-ada') },
      { user: 'bob', sha256: sha256('token-of-bob') },
    ],
  },
};
const { a, b, model } = await startTwoServers(t, { config, docker: true });

async function admin(engine: Engine, method: string, path: string, token = 'token-of-olga'): Promise<Response> {
  return fetch(engine.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(method === 'POST' && { body: '{"reason":"has left"}' }),
  });
}

const closed = (client: TestClient): Promise<{ code: number; reason: string }> =>
  within(client.closed, SOON_MS, () => 'the socket is still open');

t.test('block closes every connection of the user with 4403 and stops their turns, those in line too', async (t) => {
  const held = deferred<void>();
  t.teardown(() => held.resolve());
  model.enqueue({ blocks: [{ text: 'working ' }, { gate: held.promise, text: 'for ever' }] });
  const [ada, bob] = [
    await connect(b.wsUrl, { token: 'token-of-ada' }),
    await connect(b.wsUrl, { token: 'token-of-bob' }),
  ];
  const { session } = await ada.ready;
  await bob.ready;
  ada.say('work');
  await ada.waitFor('text:delta');
  ada.say('and this after it');
  await ada.waitFor((event) => event.type === 'message:accepted' && event.queued === 1);
  const blocked = await admin(a, 'POST', '/v1/admin/users/ada/block');
  t.equal(blocked.status, 200);
  t.match(await blocked.json(), { user: 'ada', blocked: { by: 'olga', reason: 'has left' } });
  t.match(await closed(ada), { code: 4403 });
  for (const engine of [a, b]) {
    const refused = await fetch(`${engine.url}/v1/sessions`, { headers: { authorization: 'Bearer token-of-ada' } });
    t.match(await refused.json(), { status: 403, code: 'ERR_BLOCKED' });
    t.match(await closed(await connect(engine.wsUrl, { token: 'token-of-ada', session })), { code: 4403 });
  }
  t.match(await bob.ask('hello'), { stopReason: 'end_turn' }, 'nobody else notices');
  await bob.close();
  t.equal((await admin(b, 'DELETE', '/v1/admin/users/ada/block')).status, 204);
  t.equal((await admin(b, 'DELETE', '/v1/admin/users/ada/block')).status, 404);
  const again = await connect(b.wsUrl, { token: 'token-of-ada', session, after: 0 });
  for (const turn of [1, 2]) t.match(await again.turnEnd(turn), { stopReason: 'cancelled' });
  model.enqueue(text('welcome back'));
  t.match(await again.ask('hello'), { stopReason: 'end_turn' });
  await again.close();
});

t.test('a running call over /mcp stops when its user is blocked, and its session stays for later', async (t) => {
  const held = deferred<string>();
  const begun = deferred<void>();
  t.teardown(() => held.resolve('late'));
  working = () => {
    begun.resolve();
    return held.promise;
  };
  const client = await connectMcp('v2 modern', b.url, { token: 'token-of-ada' });
  t.teardown(() => client.close());
  const calling = client.callTool('slow', {});
  await within(begun.promise, SOON_MS, () => 'the call does not run');
  const refused = t.rejects(within(calling, SOON_MS, () => 'the call goes on'));
  t.equal((await admin(a, 'POST', '/v1/admin/users/ada/block')).status, 200);
  await refused;
  const folder = auditFolder(b.dataDir);
  const log = (): string =>
    readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('');
  const ended = (): boolean => /"what":"tool_done","user":"ada".*"outcome":"failed"/.test(log());
  await until('the server has ended the call itself', ended, { timeoutMs: SOON_MS });
  const told = (): boolean => /"what":"credential_ended".*"users":\["ada"\]/.test(log());
  await until('the audit log has that connections were closed', told, { timeoutMs: SOON_MS });
  t.equal((await admin(b, 'DELETE', '/v1/admin/users/ada/block')).status, 204);
});

t.test('a turn that waits for a yes ends at the block, and not when somebody comes back', async (t) => {
  model.enqueue(tool('careful', { text: 'x' }));
  const ada = await connect(b.wsUrl, { token: 'token-of-ada' });
  const { session } = await ada.ready;
  ada.say('be careful');
  await ada.waitFor('tool:approval_required');
  await ada.close();
  t.equal((await admin(a, 'POST', '/v1/admin/users/ada/block')).status, 200);
  let state = '';
  const rests = async (): Promise<boolean> => {
    state = await (await admin(a, 'GET', `/v1/admin/sessions/${session}`)).text();
    return ['"running":false', '"queued":0', '"pending":0'].every((part) => state.includes(part));
  };
  await until('nothing runs or waits in the session', rests, { timeoutMs: SOON_MS, tell: () => state });
  t.equal((await admin(b, 'DELETE', '/v1/admin/users/ada/block')).status, 204);
});

t.test('a turn that a crash has left does not go on for a blocked user', async (t) => {
  const held = deferred<void>();
  t.teardown(() => held.resolve());
  model.enqueue({ blocks: [{ text: 'working ' }, { gate: held.promise, text: 'for ever' }] });
  const ada = await connect(b.wsUrl, { token: 'token-of-ada' });
  const { session } = await ada.ready;
  ada.say('work');
  await ada.waitFor('text:delta');
  b.signal('SIGKILL');
  await b.exited;
  t.equal((await admin(a, 'POST', '/v1/admin/users/ada/block')).status, 200);
  const asked = model.requests.length;
  await b.start();
  await b.waitForLog((line) => line.msg === 'sessions with open turns go on');
  t.match(await closed(await connect(b.wsUrl, { token: 'token-of-ada', session })), { code: 4403 });
  t.equal((await admin(b, 'DELETE', '/v1/admin/users/ada/block')).status, 204);
  const again = async (): Promise<TestClient> => {
    for (;;) {
      const client = await connect(b.wsUrl, { token: 'token-of-ada', session, after: 0 });
      const first = await Promise.race([client.ready.catch(() => undefined), client.closed.then(() => undefined)]);
      if (first) return client;
    }
  };
  const back = await within(again(), SOON_MS, () => 'ada is not let in again');
  t.match(await back.turnEnd(1), { stopReason: 'cancelled' });
  t.equal(model.requests.length, asked, 'the model was not asked again');
  await back.close();
});

t.test('only an admin blocks, nobody blocks themselves, and a name that nobody can have is refused', async (t) => {
  t.equal((await admin(a, 'POST', '/v1/admin/users/ada/block', 'token-of-bob')).status, 403);
  t.equal((await admin(a, 'GET', '/v1/admin/users', 'token-of-bob')).status, 403);
  t.match(await (await admin(a, 'POST', '/v1/admin/users/olga/block')).json(), { status: 403, code: 'ERR_FORBIDDEN' });
  for (const name of ['..%2Fx', 'a%0Ab', 'x'.repeat(10_000), '%20']) {
    t.match((await admin(a, 'POST', `/v1/admin/users/${name}/block`)).status, /^4\d\d$/, name.slice(0, 10));
  }
  t.equal((await admin(a, 'POST', '/v1/admin/users/ada/block')).status, 200);
  t.equal((await admin(a, 'POST', '/v1/admin/users/ada/block')).status, 200, 'twice is once');
  const listed = (await (await admin(a, 'GET', '/v1/admin/users')).json()) as { users: object[] };
  t.match(listed.users, [{ user: 'ada', tokens: 0, blocked: { by: 'olga', reason: 'has left' } }]);
  await admin(a, 'DELETE', '/v1/admin/users/ada/block');
});
