import { once } from 'node:events';
import t from 'tap';
import { FairleadError } from '../../../src/shared/errors.js';
import { SCRAPE_HEADERS } from '../../helpers/metrics.js';
import { connectTcp, type Fixture, otherPort, startFront } from './front-fixture.js';

/** A request as bytes, for what `fetch` would not send. Resolves with the whole answer. */
async function raw({ port }: Fixture, request: string): Promise<string> {
  const socket = connectTcp(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (data) => {
    answer += data.toString();
    if (/\r\n\r\n[^]*$/.test(answer)) socket.end();
  });
  socket.on('error', () => undefined);
  socket.write(request);
  await once(socket, 'close');
  return answer;
}

function json(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

async function problem(response: Response): Promise<{ status: number; code: string }> {
  const type = response.headers.get('content-type');
  if (type !== 'application/problem+json') throw new Error(`${response.status} is ${type}`);
  const body = (await response.json()) as { status: number; code: string };
  if (body.status !== response.status) throw new Error('the problem names another status');
  return { status: response.status, code: body.code };
}

t.test('a head of 10 KiB, as cookies and tokens with groups make it, is served also in two packets', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const socket = connectTcp(fixture.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.setNoDelay(true);
  const answered = once(socket, 'data') as Promise<[Buffer]>;
  socket.write(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${fixture.port}\r\nCookie: other=${'x'.repeat(10_000)}`);
  // Once another request is answered, the server has read the first packet.
  const other = await fetch(`${fixture.url}/healthz`);
  await other.text();
  socket.write('\r\n\r\n');
  const [answer] = await answered;
  t.match(answer.toString(), /^HTTP\/1\.1 200 /);
});

t.test('an answer without a body states no length, and the next request on its connection is answered', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const made = await fetch(`${fixture.url}/v1/sessions`, { method: 'POST' });
  const { session } = (await made.json()) as { session: string };
  const socket = connectTcp(fixture.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  const host = `Host: 127.0.0.1:${fixture.port}\r\n\r\n`;
  socket.write(`DELETE /v1/sessions/${session} HTTP/1.1\r\n${host}`);
  const [deleted] = (await once(socket, 'data')) as [Buffer];
  t.match(deleted.toString(), /^HTTP\/1\.1 204 /);
  t.notMatch(deleted.toString(), /content-length/i);
  socket.write(`GET /healthz HTTP/1.1\r\n${host}`);
  const [next] = (await once(socket, 'data')) as [Buffer];
  t.match(next.toString(), /^HTTP\/1\.1 200 /);
});

t.test('sessions are made, listed in pages, looked at and deleted', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const url = `${fixture.url}/v1/sessions`;
  const made = await fetch(url, { method: 'POST' });
  t.equal(made.status, 201);
  const { session } = (await made.json()) as { session: string };
  t.equal(made.headers.get('location'), `/v1/sessions/${session}`);
  t.equal((await fetch(url, json({ model: 'other' }))).status, 201);
  t.strictSame(await problem(await fetch(url, json({ model: 'forbidden' }))), {
    status: 400,
    code: 'ERR_MODEL_NOT_ALLOWED',
  });
  const page = (await (await fetch(`${url}?limit=1`)).json()) as { sessions: unknown[]; next: string };
  t.equal(page.sessions.length, 1);
  const rest = (await (await fetch(`${url}?limit=1&cursor=${page.next}`)).json()) as { sessions: unknown[] };
  t.equal(rest.sessions.length, 1);
  for (const limit of ['0', '-1', 'x', '1.5']) {
    t.strictSame(await problem(await fetch(`${url}?limit=${limit}`)), { status: 400, code: 'ERR_BAD_FRAME' });
  }
  t.match(await (await fetch(`${url}/${session}`)).json(), { session, running: false, pending: [] });
  t.strictSame(await (await fetch(`${url}/${session}/history`)).json(), { transcript: [] });
  t.equal((await fetch(`${url}/${session}`, { method: 'DELETE' })).status, 204);
  t.strictSame(await problem(await fetch(`${url}/${session}`)), { status: 404, code: 'ERR_NO_SUCH_SESSION' });
});

t.test('another user’s session, an unknown one and what cannot be an id are the same 404', async (t) => {
  const fixture = await startFront({ tokens: { ann: 'token-a', bob: 'token-b' } });
  t.teardown(() => fixture.close());
  fixture.agent.make('s-ann', 'ann');
  const headers = { authorization: 'Bearer token-b' };
  for (const id of ['s-ann', 'nowhere', '..%2f..%2fetc', 'x'.repeat(200)]) {
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/history'],
      ['GET', '/events'],
      ['POST', '/cancel'],
    ]) {
      const response = await fetch(`${fixture.url}/v1/sessions/${id}${path}`, { method: method!, headers });
      t.strictSame(await problem(response), { status: 404, code: 'ERR_NO_SUCH_SESSION' }, `${method} ${id}${path}`);
    }
    const sent = await fetch(`${fixture.url}/v1/sessions/${id}/messages`, json({ text: 'hi' }, headers));
    t.strictSame(await problem(sent), { status: 404, code: 'ERR_NO_SUCH_SESSION' });
  }
  t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
  t.equal(fixture.agent.sessions.get('s-ann')?.turns, 0);
});

t.test('credentials are asked for everywhere but for health; a token in the URL counts for nothing', async (t) => {
  const fixture = await startFront({ tokens: { ann: 'token-a' } });
  t.teardown(() => fixture.close());
  const url = `${fixture.url}/v1/sessions`;
  for (const response of [
    await fetch(url),
    await fetch(`${url}?token=token-a&access_token=token-a`),
    await fetch(url, { headers: { authorization: 'Bearer wrong' } }),
    await fetch(url, { headers: { authorization: 'Basic token-a' } }),
    await fetch(url, { headers: { 'sec-websocket-protocol': 'bearer.token-a' } }),
  ]) {
    t.match(response.headers.get('www-authenticate'), /^Bearer( error="invalid_token")?$/);
    t.strictSame(await problem(response), { status: 401, code: 'ERR_UNAUTHORIZED' });
  }
  t.equal((await fetch(url, { headers: { authorization: 'bearer token-a' } })).status, 200);
  for (const path of ['/healthz', '/readyz']) t.equal((await fetch(fixture.url + path)).status, 200, path);
});

t.test('an unknown path is 404, a wrong method 405 with Allow, HEAD is GET without a body', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  t.strictSame(await problem(await fetch(`${fixture.url}/nope`)), { status: 404, code: 'ERR_NOT_FOUND' });
  fixture.agent.make('s');
  t.equal((await fetch(`${fixture.url}/v1/sessions/s/history`)).status, 200);
  for (const path of ['/v1/sessions/%zz', '/v1/sessions//history', '/v1/sessions/', '/v1/mcp//prompts']) {
    t.strictSame(await problem(await fetch(fixture.url + path)), { status: 404, code: 'ERR_NOT_FOUND' }, path);
  }
  const wrong = await fetch(`${fixture.url}/v1/sessions`, { method: 'PUT' });
  t.equal(wrong.headers.get('allow'), 'POST, GET, HEAD, OPTIONS');
  t.strictSame(await problem(wrong), { status: 405, code: 'ERR_METHOD_NOT_ALLOWED' });
  const head = await fetch(`${fixture.url}/healthz`, { method: 'HEAD' });
  t.equal(head.status, 200);
  t.equal(head.headers.get('content-length'), String('{"status":"ok"}'.length));
  t.equal(await head.text(), '');
  t.equal((await fetch(`${fixture.url}/v1/sessions/s`, { method: 'HEAD' })).status, 200);
  t.equal((await fetch(`${fixture.url}/v1/sessions/s/events`, { method: 'HEAD' })).status, 405, 'a stream has no HEAD');
});

t.test('health, readiness with its reasons, and metrics', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  t.equal((await fetch(`${fixture.url}/readyz`)).status, 200);
  Object.assign(fixture.readiness, { ready: false, reasons: ['starting'] });
  const starting = await fetch(`${fixture.url}/readyz`);
  t.equal(starting.status, 503);
  t.ok(starting.headers.get('retry-after'));
  t.strictSame(await starting.json(), { ready: false, reasons: ['starting'] });
  Object.assign(fixture.readiness, { ready: true, reasons: [] });
  fixture.front.stopAccepting();
  t.strictSame(await (await fetch(`${fixture.url}/readyz`)).json(), { ready: false, reasons: ['draining'] });
  t.equal((await fetch(`${fixture.url}/healthz`)).status, 200);
  const made = await fetch(`${fixture.url}/v1/sessions`, { method: 'POST' });
  t.ok(made.headers.get('retry-after'));
  t.strictSame(await problem(made), { status: 503, code: 'ERR_DRAINING' });
  const metrics = await fetch(`${fixture.url}/metrics`, { headers: SCRAPE_HEADERS });
  t.match(metrics.headers.get('content-type'), /^text\/plain/);
  t.equal(await metrics.text(), 'test_metric 1\n');
});

t.test('bodies: not JSON, not UTF-8, of another type, with unknown fields, too large', async (t) => {
  const fixture = await startFront({ limits: { maxFrameBytes: 64 * 1024 } });
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-body');
  const url = `${fixture.url}/v1/sessions/${session}/messages`;
  const headers = { 'content-type': 'application/json' };
  const bad: [string, RequestInit][] = [
    ['no body', { method: 'POST' }],
    ['not JSON', { method: 'POST', headers, body: '{' }],
    ['not UTF-8', { method: 'POST', headers, body: Buffer.from([0x22, 0xff, 0x22]) }],
    ['a form', { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{"text":"hi"}' }],
    ['both', json({ text: 'a', content: [{ type: 'text', text: 'b' }] })],
    ['an unknown field', json({ text: 'a', more: 1 })],
    ['an array', json([])],
    ['blank text', json({ text: '  ' })],
  ];
  for (const [name, init] of bad) {
    t.strictSame(await problem(await fetch(url, init)), { status: 400, code: 'ERR_BAD_FRAME' }, name);
  }
  const declared = await raw(
    fixture,
    `POST /v1/sessions/${session}/messages HTTP/1.1\r\nHost: 127.0.0.1:${fixture.port}\r\n` +
      'Content-Type: application/json\r\nContent-Length: 10000000\r\n\r\n',
  );
  t.match(declared, /^HTTP\/1.1 413 [^]*ERR_TOO_LARGE/, 'by its Content-Length, before it is sent');
  const large = await fetch(url, json({ text: 'x'.repeat(200_000) }));
  t.strictSame(await problem(large), { status: 413, code: 'ERR_TOO_LARGE' });
  t.equal((await fetch(url, json({ text: 'x'.repeat(60_000) }))).status, 200, 'just below passes');
  t.equal(fixture.agent.sessions.get(session)?.turns, 1);
});

t.test('approvals, elicitations and cancel go to the agent; what is not pending is 409', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-approve');
  const url = `${fixture.url}/v1/sessions/${session}`;
  t.strictSame(await problem(await fetch(`${url}/approvals/c1`, json({ approved: true }))), {
    status: 409,
    code: 'ERR_CALL_NOT_PENDING',
  });
  fixture.agent.sessions.get(session)!.pending.push({
    kind: 'approval',
    turn: 1,
    callId: 'c 1',
    name: 'run',
    server: 'workspace',
    args: {},
    position: 1,
    total: 1,
    expiresAt: 0,
  });
  const body = { approved: true, args: { a: 1 }, remember: 'session' };
  const approved = await fetch(`${url}/approvals/c%201`, json(body));
  t.equal(approved.status, 200);
  const who = { role: 'admin', groups: [], credential: 'local', address: '127.0.0.1' };
  const of = { user: 'local', session, who };
  t.strictSame(await fixture.agent.asked('answer-approval', 2), { ...of, callId: 'c 1', ...body });
  t.strictSame(await problem(await fetch(`${url}/elicitations/r1`, json({ action: 'decline' }))), {
    status: 409,
    code: 'ERR_CALL_NOT_PENDING',
  });
  t.equal((await fetch(`${url}/cancel`, { method: 'POST' })).status, 200);
  t.strictSame(await problem(await fetch(`${url}/approvals/c1`, json({ approved: 'yes' }))), {
    status: 400,
    code: 'ERR_BAD_FRAME',
  });
});

t.test('an agent’s errors have their status, 429 and 503 a Retry-After, and ERR_INTERNAL keeps its text', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-errors');
  const url = `${fixture.url}/v1/sessions/${session}`;
  for (const [code, status] of [
    ['ERR_UNAVAILABLE', 503],
    ['ERR_TOO_MANY_REQUESTS', 429],
    ['ERR_CHANNEL_CLOSED', 503],
  ] as const) {
    fixture.agent.overrides.set('get-session', () => {
      throw new FairleadError(code, 'told', { retryAfterMs: 2_500 });
    });
    const response = await fetch(url);
    t.equal(response.headers.get('retry-after'), '3');
    t.strictSame(await problem(response), { status, code });
  }
  fixture.agent.overrides.set('get-session', () => {
    throw new Error('a secret of the inside');
  });
  const internal = await fetch(url);
  t.equal(internal.headers.get('retry-after'), null);
  t.match(await internal.json(), { status: 500, code: 'ERR_INTERNAL', detail: 'internal error' });
});

t.test('a page of another origin is refused, also without auth; one on the list gets CORS', async (t) => {
  const fixture = await startFront({ origins: ['https://app.example'] });
  t.teardown(() => fixture.close());
  const url = `${fixture.url}/v1/sessions`;
  for (const origin of ['https://evil.example', 'null', 'http://localhost:1', otherPort(fixture)]) {
    const refused = await fetch(url, { headers: { origin } });
    t.equal(refused.headers.get('access-control-allow-origin'), null);
    t.strictSame(await problem(refused), { status: 403, code: 'ERR_FORBIDDEN_ORIGIN' }, origin);
  }
  const same = await fetch(url, { headers: { origin: fixture.url } });
  t.equal(same.status, 200, 'same origin');
  t.equal(same.headers.get('access-control-allow-origin'), null, 'which is not on the list, and needs no CORS');
  const allowed = await fetch(url, { headers: { origin: 'https://app.example' } });
  t.equal(allowed.status, 200);
  t.equal(allowed.headers.get('access-control-allow-origin'), 'https://app.example');
  const preflight = await fetch(url, { method: 'OPTIONS', headers: { origin: 'https://app.example' } });
  t.equal(preflight.status, 204);
  t.match(preflight.headers.get('access-control-allow-methods'), /POST/);
  t.match(preflight.headers.get('access-control-allow-headers'), /Authorization/);
  const evil = await fetch(url, { method: 'OPTIONS', headers: { origin: 'https://evil.example' } });
  t.equal(evil.status, 403);
});

t.test('without auth a Host that is not this machine’s own is refused: DNS rebinding', async (t) => {
  const fixture = await startFront({ origins: ['http://tunnel.example:8080'] });
  t.teardown(() => fixture.close());
  const { port } = fixture;
  const status = async (host: string): Promise<string | undefined> =>
    (await raw(fixture, `GET /v1/sessions HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).split(' ')[1];
  for (const host of [`127.0.0.1:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`, 'tunnel.example:8080']) {
    t.equal(await status(host), '200', host);
  }
  for (const host of [`evil.example:${port}`, 'evil.example', 'localhost', `localhost.evil.example:${port}`]) {
    t.equal(await status(host), '403', host);
  }
  const upgrade = await raw(
    fixture,
    `GET /v1/ws HTTP/1.1\r\nHost: evil.example:${port}\r\nOrigin: http://evil.example:${port}\r\n` +
      'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  t.match(upgrade, /^HTTP\/1.1 403 /);
});

t.test('a connection is kept for the next request', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const socket = connectTcp(fixture.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  let text = '';
  socket.on('data', (data) => {
    text += data.toString();
  });
  for (let count = 1; count <= 3; count++) {
    socket.write(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${fixture.port}\r\n\r\n`);
    while (text.split('{"status":"ok"}').length <= count) await once(socket, 'data');
  }
  t.equal(text.match(/HTTP\/1.1 200 OK/g)?.length, 3);
});

t.test('a head that can be read in two ways is cut, for HTTP and for an upgrade', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const host = `Host: 127.0.0.1:${fixture.port}\r\n`;
  const upgrade =
    'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
  t.match(await raw(fixture, `GET /healthz HTTP/1.1\r\n${host}\r\n`), /^HTTP\/1\.1 200 /);
  for (const request of [
    `GET /healthz HTTP/1.1\r\n${host}${host}\r\n`,
    `GET /healthz HTTP/1.1\r\n${host}Host: evil.example.org\r\n\r\n`,
    `GET /v1/ws HTTP/1.1\r\n${host}${host}${upgrade}\r\n`,
    `POST /v1/sessions HTTP/1.1\r\n${host}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`,
    `POST /v1/sessions HTTP/1.1\r\n${host}Transfer-Encoding: gzip\r\n\r\n`,
  ]) {
    t.equal(await raw(fixture, request), '', request);
  }
});

t.test('after a head that can be read in two ways nothing more of the connection is read', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const host = `Host: 127.0.0.1:${fixture.port}\r\n`;
  const second = `GET /healthz HTTP/1.1\r\n${host}\r\n`;
  for (const method of ['POST', 'HEAD']) {
    const socket = connectTcp(fixture.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (data) => (answer += data.toString()));
    socket.on('error', () => undefined); // a reset is an end, too
    socket.write(`${method} /v1/sessions HTTP/1.1\r\n${host}Content-Length: 0\r\nContent-Length: 0\r\n\r\n${second}`);
    await once(socket, 'close');
    t.notMatch(answer, ' 200 ', method);
  }
});

t.test('an image on a page of another site reads nothing here', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const host = `Host: 127.0.0.1:${fixture.port}\r\n`;
  const get = (site: string): Promise<string> =>
    raw(fixture, `GET /v1/sessions HTTP/1.1\r\n${host}Sec-Fetch-Site: ${site}\r\nSec-Fetch-Mode: no-cors\r\n\r\n`);
  t.match(await get('cross-site'), /^HTTP\/1\.1 403 /);
  t.match(await get('same-origin'), /^HTTP\/1\.1 200 /);
});
