import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { targetOf, userSession } from '../../../../src/front/routes/mcp-endpoint.js';
import { deferred } from '../../../helpers/processes.js';
import { until } from '../../../helpers/until.js';
import { connectTcp, startFront } from '../front-fixture.js';

const NONE = new URLSearchParams();
const BODY = '{"jsonrpc":"2.0","id":7,"method":"tools/list"}';

t.test('the session that is meant: by its MCP session, by its name, the user’s own, or a new one', async (t) => {
  const mcpSession = 'abc.def';
  t.strictSame(targetOf({ 'mcp-session-id': mcpSession }, NONE, 'ann'), { session: 'abc', by: { mcpSession } });
  t.strictSame(targetOf({ 'fairlead-session': 'abc' }, NONE, 'ann'), { session: 'abc', by: 'id' });
  t.strictSame(targetOf({}, new URLSearchParams('session=abc'), 'ann'), { session: 'abc', by: 'id' });
  const kept = targetOf({ 'mcp-protocol-version': '2026-07-28' }, NONE, 'ann');
  t.strictSame(kept, { session: userSession('ann'), by: 'user' });
  t.strictSame(targetOf({ 'mcp-method': 'tools/list' }, NONE, 'ann'), kept);
  t.not(userSession('ann'), userSession('bob'));
  const made = targetOf({ 'mcp-protocol-version': '2025-11-25' }, NONE, 'ann');
  t.equal(made.by, 'new');
  t.not(made.session, targetOf({}, NONE, 'ann').session);
  for (const id of ['abc', 'a/b.c', 'abc.', '.def', `${'x'.repeat(200)}.y`]) {
    t.throws(() => targetOf({ 'mcp-session-id': id }, NONE, 'ann'), { code: 'ERR_NO_SUCH_SESSION' }, id);
  }
  t.throws(() => targetOf({}, new URLSearchParams('session=../x'), 'ann'), { code: 'ERR_NO_SUCH_SESSION' });
  t.throws(() => targetOf({ 'fairlead-session': 'a' }, new URLSearchParams('session=b'), 'ann'), {
    code: 'ERR_BAD_FRAME',
  });
});

t.test(
  'what reaches an agent thread: the user and their rights, MCP’s own headers, the body, and never the token',
  async (t) => {
    const fixture = await startFront({ tokens: { ann: 'token-a' } });
    t.teardown(() => fixture.close());
    const answer = await fetch(`${fixture.url}/mcp?session=s1`, {
      method: 'POST',
      headers: {
        authorization: 'Bearer token-a',
        cookie: 'a=b',
        'content-type': 'application/json',
        accept: 'application/json',
        'mcp-method': 'tools/list',
        'mcp-param-region': 'eu',
        'x-other': 'no',
      },
      body: BODY,
    });
    t.equal(answer.status, 200);
    t.strictSame(await answer.json(), {
      user: 'ann',
      who: { role: 'user', groups: [], credential: 'file', address: '127.0.0.1' },
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'mcp-method': 'tools/list',
        'mcp-param-region': 'eu',
      },
      body: BODY,
      session: 's1',
      by: 'id',
    });
    t.equal((await fetch(`${fixture.url}/mcp`, { method: 'POST', body: BODY })).status, 401);
    t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
  },
);

t.test('a stream is passed on as it comes; the agent thread waits while the client is behind', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const id = deferred<string>();
  const finish = deferred<null>();
  fixture.agent.overrides.set('mcp-exchange', ({ exchange }) => {
    id.resolve(String(exchange));
    return finish.promise;
  });
  const socket = connectTcp(fixture.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.pause();
  socket.write(
    `GET /mcp HTTP/1.1\r\nhost: 127.0.0.1:${fixture.port}\r\naccept: text/event-stream\r\nmcp-session-id: a.b\r\n\r\n`,
  );
  const exchange = await id.promise;
  const head = { headers: [['content-type', 'text/event-stream']] as [string, string][] };
  t.strictSame(await fixture.agent.streamMcp({ exchange, head, text: '' }), { open: true });
  const chunk = `data: ${'x'.repeat(1_000_000)}\n\n`;
  let taken = 0;
  let last: Promise<unknown> | undefined;
  // Until the kernel's buffers are full: then the answer waits.
  for (;;) {
    const before = taken;
    const written = fixture.agent.streamMcp({ exchange, text: chunk }).then(() => ++taken);
    await fetch(`${fixture.url}/healthz`); // whatever could be done at once is done by then
    if (taken === before) {
      last = written;
      break;
    }
  }
  t.ok(taken < 100, 'it is not taken without end');
  let bytes = 0;
  socket.on('data', (data) => (bytes += data.length));
  socket.resume();
  await last;
  await until('what was taken has come', () => bytes > chunk.length * (taken - 1), { timeoutMs: 60_000 });
  finish.resolve(null);
  await fixture.agent.asked('mcp-exchange');
});

t.test('the agent thread is told of a client that disconnects, and nothing of it stays', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const id = deferred<string>();
  fixture.agent.overrides.set('mcp-exchange', ({ exchange }) => {
    id.resolve(String(exchange));
    return new Promise(() => undefined);
  });
  const abort = new AbortController();
  const sent = fetch(`${fixture.url}/mcp?session=s1`, { method: 'POST', body: BODY, signal: abort.signal });
  const exchange = await id.promise;
  t.equal(fixture.front.counts().connections, 1);
  abort.abort();
  await t.rejects(sent);
  t.strictSame(await fixture.agent.asked('mcp-abort'), { exchange });
  t.strictSame(await fixture.agent.streamMcp({ exchange, text: 'late' }), { open: false });
  t.equal(fixture.front.counts().connections, 0);
});

t.test('a thread that fails in the middle: the client is told which request it was, or gets the status', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  fixture.agent.overrides.set('mcp-exchange', () => {
    throw new FairleadError('ERR_NO_SUCH_SESSION', 'no such session');
  });
  t.equal((await fetch(`${fixture.url}/mcp?session=s1`, { method: 'POST', body: BODY })).status, 404);
  fixture.agent.overrides.set('mcp-exchange', async ({ exchange }) => {
    const head = { headers: [['content-type', 'text/event-stream']] as [string, string][], requestId: 7 };
    await fixture.agent.streamMcp({ exchange: String(exchange), head, text: 'data: {}\n\n' });
    throw new FairleadError('ERR_UNAVAILABLE', 'the thread has gone');
  });
  const answer = await fetch(`${fixture.url}/mcp?session=s1`, { method: 'POST', body: BODY });
  t.equal(answer.status, 200);
  const [, told] = (await answer.text()).split('\n\n');
  t.match(JSON.parse(told!.replace(/^event: message\ndata: /, '')), {
    id: 7,
    error: { message: 'the thread has gone' },
  });
});

t.test('one user has so many requests open, and none while the server stops', async (t) => {
  const fixture = await startFront({ limits: { maxSocketsPerUser: 2 } });
  t.teardown(() => fixture.close());
  const finish = deferred<unknown>();
  fixture.agent.overrides.set('mcp-exchange', () => finish.promise);
  const post = (): Promise<Response> => fetch(`${fixture.url}/mcp?session=s1`, { method: 'POST', body: BODY });
  const open = [post(), post()];
  await fixture.agent.asked('mcp-exchange', 2);
  const third = await post();
  t.equal(third.status, 429);
  t.match(await third.json(), { code: 'ERR_TOO_MANY_SOCKETS' });
  finish.resolve({ status: 202, headers: [], body: '' });
  for (const answer of await Promise.all(open)) {
    t.equal(answer.status, 202);
    t.equal(answer.headers.get('content-length'), '0');
  }
  fixture.front.stopAccepting();
  const late = await post();
  t.equal(late.status, 503);
  t.match(await late.json(), { code: 'ERR_DRAINING' });
});

t.test('a page of a listed origin may send MCP’s headers and read the session’s id', async (t) => {
  const fixture = await startFront({ origins: ['https://ide.example'] });
  t.teardown(() => fixture.close());
  const headers = { origin: 'https://ide.example', 'access-control-request-method': 'POST' };
  const preflight = await fetch(`${fixture.url}/mcp`, { method: 'OPTIONS', headers });
  t.match(preflight.headers.get('access-control-allow-headers'), /Mcp-Session-Id.*MCP-Protocol-Version.*\*/);
  const answer = await fetch(`${fixture.url}/mcp?session=s1`, {
    method: 'POST',
    headers: { origin: headers.origin },
    body: BODY,
  });
  t.match(answer.headers.get('access-control-expose-headers'), /Mcp-Session-Id/);
});
