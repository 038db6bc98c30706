/** Ways to act as somebody else, or beyond one's role, against the whole program on its real parts and a real issuer. */
import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { connect as connectTcp } from 'node:net';
import { text as readAll } from 'node:stream/consumers';
import t from 'tap';
import { hashToken } from '../../src/shared/token-file.js';
import { AUDIENCE, JwtIssuer } from '../helpers/jwt-issuer.js';
import { startStack } from '../helpers/stack.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

t.setTimeout(240_000); // a whole server, on a machine that may be busy

const issuer = await JwtIssuer.start();
t.teardown(() => issuer.close());
const tokenLine = (user: string, role: string): object => ({ user, sha256: hashToken(`token-of-${user}`), role });
const stack = await startStack({
  config: {
    auth: {
      tokens: [
        tokenLine('ada', 'user'),
        tokenLine('bob', 'user'),
        tokenLine('olga', 'operator'),
        tokenLine('root', 'admin'),
      ],
      oidc: { issuer: issuer.url, audiences: [AUDIENCE], roles: { operator: ['ops'], admin: ['admins'] } },
    },
  },
});
t.teardown(() => stack.stop());
const { engine } = stack;

// What there is to take: a session of ada's, in which something was said.
const ada = await connect(engine.wsUrl, { token: 'token-of-ada' });
t.teardown(() => ada.terminate());
const { session } = await ada.ready;
await ada.ask('the secret is swordfish');

type Headers = Record<string, string>;
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const BOB = bearer('token-of-bob');
const own = `/v1/sessions/${session}`;

/** What an attempt came to: a status, or a close code. */
async function ask(path: string, headers: Headers, method = 'GET', body?: object): Promise<number> {
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const all = { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) };
  const answer = await fetch(engine.url + path, { method, headers: all, ...json, signal: AbortSignal.timeout(30_000) });
  const said = await answer.text();
  if (said.includes('swordfish')) return 200;
  return answer.status;
}

async function openSocket(options: Parameters<typeof connect>[1]): Promise<number> {
  const client: TestClient = await connect(engine.wsUrl, options);
  const closed = client.closed.then(({ code }) => code);
  const ready = client.ready.then(
    ({ user, session: got }) => (user === 'ada' || got === session ? 101 : 0),
    () => closed,
  );
  const end = await Promise.race([ready, closed]);
  if (end === 1006) t.comment('a socket was cut', client.gaps(), engine.logs.slice(-5));
  await client.terminate();
  return end;
}

/** As it stands on the wire: what `fetch` would not send. */
async function raw(head: string): Promise<number> {
  const { port, hostname } = new URL(engine.url);
  const socket = connectTcp(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.end(`${head}\r\nHost: ${hostname}:${port}\r\nConnection: close\r\n\r\n`);
  const said = await readAll(socket).catch(() => '');
  return Number(/^HTTP\/1\.1 (\d+)/.exec(said)?.[1] ?? 0);
}

/** Bob's socket, on which a frame is sent that should make it somebody else's. */
async function refresh(token: string): Promise<number> {
  const client = await connect(engine.wsUrl, { token: 'token-of-bob' });
  await client.ready;
  client.send({ type: 'auth:refresh', token });
  const { code } = await client.closed;
  return code;
}

const { privateKey: foreign } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const admin = { sub: 'ada', groups: ['admins'] };
const genuine = (await issuer.sign({ sub: 'bob' })).split('.');
const hmacBody = `${encode({ alg: 'HS256', kid: issuer.key.kid })}.${encode({ ...admin, iss: issuer.url, aud: AUDIENCE, exp: 4e9 })}`;
const publicPem = createPublicKey(issuer.key.privateKey).export({ type: 'spki', format: 'pem' });
const hmac = createHmac('sha256', publicPem).update(hmacBody).digest('base64url');
const now = Math.floor(Date.now() / 1_000);
const jwt = async (token: string | Promise<string>): Promise<number> => ask(own, bearer(await token));
const withKey = { ...createPublicKey(foreign).export({ format: 'jwk' }), alg: 'RS256', use: 'sig' };

const WAYS: Record<string, () => Promise<number>> = {
  // With no credential, or something that looks like one.
  'no credential': () => ask(own, {}),
  'the token in the address': () => ask(`${own}?token=token-of-ada&access_token=token-of-ada`, {}),
  'the token by Basic': () =>
    ask(own, { authorization: `Basic ${Buffer.from('ada:token-of-ada').toString('base64')}` }),
  'the hash in place of the token': () => ask(own, bearer(hashToken('token-of-ada'))),
  'the token in another case': () => ask(own, bearer('TOKEN-OF-ADA')),
  'a part of the token': () => ask(own, bearer('token-of-ad')),
  'the token with more behind it': () => ask(own, { authorization: 'Bearer token-of-ada,x' }),
  'the name as the token': () => ask(own, bearer('ada')),
  'the user in a header of a proxy': () =>
    ask(own, { 'x-forwarded-user': 'ada', 'x-remote-user': 'ada', 'remote-user': 'ada' }),
  'a cookie with the token': () => ask(own, { cookie: 'token=token-of-ada; fairlead=token-of-ada; __Host-fairlead=x' }),
  'two Authorization headers': () =>
    raw(`GET ${own} HTTP/1.1\r\nAuthorization: Bearer token-of-bob\r\nAuthorization: Bearer token-of-ada`),
  'a WebSocket without a credential': () => openSocket({ session }),
  'a WebSocket with a guess as its subprotocol': () => openSocket({ session, token: 'guess', browser: true }),

  // With a JWT that the issuer has not made, or not for this.
  'a JWT of another issuer': () => jwt(issuer.sign({ iss: 'https://other.test' })),
  'a JWT for another audience': () => jwt(issuer.sign({ aud: 'another' })),
  'a JWT without an audience': () => jwt(issuer.sign({ aud: undefined })),
  'a JWT that has ended': () => jwt(issuer.sign({ exp: now - 3_600 })),
  'a JWT without an end': () => jwt(issuer.sign({ exp: undefined })),
  'a JWT that counts tomorrow': () => jwt(issuer.sign({ nbf: now + 86_400 })),
  'a JWT without a signature (none)': () =>
    jwt(`${encode({ alg: 'none' })}.${encode({ ...admin, iss: issuer.url, aud: AUDIENCE, exp: 4e9 })}.`),
  'a JWT signed with the public key as a secret': () => jwt(`${hmacBody}.${hmac}`),
  'a JWT with a changed body': () =>
    jwt([genuine[0], encode({ ...admin, iss: issuer.url, aud: AUDIENCE, exp: 4e9 }), genuine[2]].join('.')),
  'a JWT with a key of one’s own under the issuer’s kid': () => jwt(issuer.sign(admin, {}, foreign)),
  'a JWT that brings its key (jwk)': () => jwt(issuer.sign(admin, { jwk: withKey }, foreign)),
  'a JWT that says where its keys are (jku)': () =>
    jwt(issuer.sign(admin, { jku: 'https://evil.test/jwks', kid: 'x' }, foreign)),
  'a log-out token': () => jwt(issuer.sign(admin, { typ: 'logout+jwt' })),
  'a token that is bound to a key': () => jwt(issuer.sign({ ...admin, cnf: { jkt: 'x' } })),
  'a name with a line break': () => jwt(issuer.sign({ sub: 'ada\nroot' })),
  'a name that is a path': () => jwt(issuer.sign({ sub: '../ada' })),
  'the name of the server’s owner': () => jwt(issuer.sign({ sub: 'local' })),
  'the name in another case': () => jwt(issuer.sign({ sub: 'Ada' })),
  'the name with a blank': () => jwt(issuer.sign({ sub: 'ada ' })),
  'a list of names': () => jwt(issuer.sign({ sub: ['ada'] })),

  // With a good credential, what is somebody else's.
  'reading another’s session': () => ask(own, BOB),
  'reading another’s history': () => ask(`${own}/history`, BOB),
  'reading pages of it': () => ask(`${own}/history?limit=10`, BOB),
  'following another’s events': () => ask(`${own}/events?after=0`, BOB),
  'speaking in another’s session': () => ask(`${own}/messages`, BOB, 'POST', { text: 'hi' }),
  'answering for another': () => ask(`${own}/approvals/x`, BOB, 'POST', { approved: true }),
  'answering another’s question': () => ask(`${own}/elicitations/x`, BOB, 'POST', { action: 'accept' }),
  'stopping another’s turn': () => ask(`${own}/cancel`, BOB, 'POST', {}),
  'restarting another’s sandbox': () => ask(`${own}/sandbox/restart`, BOB, 'POST', {}),
  'deleting another’s session': () => ask(own, BOB, 'DELETE'),
  'a socket to another’s session': () => openSocket({ token: 'token-of-bob', session }),
  'a replay of another’s session': () => openSocket({ token: 'token-of-bob', session, after: 0 }),
  'another’s session over /mcp': () =>
    ask(
      '/mcp',
      {
        ...BOB,
        'fairlead-session': session,
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/list',
      },
      'POST',
      { jsonrpc: '2.0', id: 1, method: 'tools/list' },
    ),
  'another’s MCP session': () =>
    ask(
      '/mcp',
      { ...BOB, 'mcp-session-id': `${session}.${'A'.repeat(24)}`, accept: 'application/json, text/event-stream' },
      'POST',
      { jsonrpc: '2.0', id: 1, method: 'tools/list' },
    ),
  'a resource in another’s session': () => ask(`/v1/mcp/workspace/resources?session=${session}`, BOB),
  'an admin in another’s session': () => ask(`${own}/history`, bearer('token-of-root')),
  'a user in the body': () => ask(`${own}/messages`, BOB, 'POST', { text: 'hi', user: 'ada' }),

  // Beyond one's role.
  'a role in the body': () => ask('/v1/sessions', BOB, 'POST', { role: 'admin' }),
  'a group that is named like a role': async () =>
    ask('/v1/admin/sessions', bearer(await issuer.sign({ sub: 'bob', groups: ['admin', 'operator'] }))),
  'a role as a claim': async () =>
    ask('/v1/admin/sessions', bearer(await issuer.sign({ sub: 'bob', role: 'admin', roles: ['admin'] }))),
  'a group in another case': async () =>
    ask('/v1/admin/sessions', bearer(await issuer.sign({ sub: 'bob', groups: ['Admins', 'OPS'] }))),
  'what operators see, as a user': () => ask('/v1/admin/sessions', BOB),
  'what admins change, as a user': () => ask('/v1/admin/tokens', BOB, 'POST', { user: 'bob', role: 'admin' }),
  'what admins change, as an operator': () =>
    ask('/v1/admin/tokens', bearer('token-of-olga'), 'POST', { user: 'olga', role: 'admin' }),
  'another’s content, as an operator': () => ask(`/v1/admin/sessions/${session}/history`, bearer('token-of-olga')),
  'another’s content, as an admin without auth.support': () =>
    ask(`/v1/admin/sessions/${session}/history`, bearer('token-of-root')),

  // From one's own socket.
  'going on as another user': () => refresh('token-of-ada'),
  'going on as another user of the issuer': async () => refresh(await issuer.sign({ sub: 'ada' })),
  'going on with a forged JWT': async () => refresh(await issuer.sign({ sub: 'bob', groups: ['admins'] }, {}, foreign)),
};

/** Refused for who asks; a session of another user looks as if it were not there. 0: the connection was cut. */
const REFUSED = new Set([0, 400, 401, 403, 404, 4401, 4403, 4404]);

t.ok(Object.keys(WAYS).length >= 50, `${Object.keys(WAYS).length} ways`);
for (const [way, attempt] of Object.entries(WAYS)) {
  t.test(way, async (t) => {
    const came = await attempt();
    t.ok(REFUSED.has(came), `it came to ${came}`);
  });
}

t.test('and who may, does', async (t) => {
  t.equal(await ask(`${own}/history`, bearer('token-of-ada')), 200);
  t.equal(await ask(`${own}/history`, bearer(await issuer.issue('ada'))), 200, 'the same user by the issuer');
  t.equal(await openSocket({ token: await issuer.sign(), session }), 101);
  t.equal(await ask('/v1/admin/tokens', bearer('token-of-root')), 200, 'an admin, to what admins see');
  t.equal(
    await ask('/v1/admin/tokens', bearer(await issuer.sign({ sub: 'eve', groups: ['admins'] }))),
    200,
    'by a group',
  );
  const { turns } = (await (await fetch(engine.url + own, { headers: bearer('token-of-ada') })).json()) as {
    turns: number;
  };
  t.equal(turns, 1, 'nobody has said anything in it');
});
