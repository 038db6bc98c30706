import t, { type Test } from 'tap';
import { JwtIssuer, AUDIENCE } from '../../helpers/jwt-issuer.js';
import { connect, type TestClient } from '../../helpers/ws-client.js';
import { startFront, type Fixture } from './front-fixture.js';

interface World {
  issuer: JwtIssuer;
  front: Fixture;
  /** A token for that many seconds from now. */
  token: (user: string, seconds: number, claims?: object) => Promise<string>;
  open: (token: string, session?: string) => Promise<TestClient>;
}

async function start(t: Test): Promise<World> {
  const issuer = await JwtIssuer.start();
  t.teardown(() => issuer.close());
  const oidc = { issuer: issuer.url, audiences: [AUDIENCE], roles: { operator: ['ops'] } };
  const front = await startFront({ tokens: { ada: 'token-of-ada', bob: 'token-of-bob' }, auth: { oidc } });
  t.teardown(() => front.close());
  return {
    issuer,
    front,
    token: (user, seconds, claims = {}) => issuer.sign({ sub: user, exp: Date.now() / 1_000 + seconds, ...claims }),
    async open(token, session) {
      const client = await connect(front.url, { token, ...(session === undefined ? {} : { session }) });
      t.teardown(() => client.terminate());
      await client.ready;
      return client;
    },
  };
}

t.test('sockets and streams of a credential that ends are closed within a second, and its turn goes on', async (t) => {
  const { front, token, open } = await start(t);
  front.agent.make('s1', 'ada');
  front.agent.onMessage = () => undefined; // its turn runs until the test ends it
  const lasting = await open('token-of-ada', 's1');
  const endsAt = Date.now() + 3_000;
  const short = await token('ada', 3);
  const headers = { authorization: `Bearer ${short}`, 'content-type': 'application/json' };
  const url = `${front.url}/v1/sessions/s1`;
  const socket = await open(short, 's1');
  const events = await fetch(`${url}/events`, { headers });
  const waiting = fetch(`${url}/messages`, { method: 'POST', headers, body: JSON.stringify({ text: 'hi' }) });
  await lasting.waitFor('turn:start');
  t.match(await socket.closed, { code: 4401, reason: 'the credential has ended' });
  const late = Date.now() - endsAt;
  // It takes 0.4 s; on a full machine a timer may be late.
  t.ok(late >= 0 && late < 5_000, `${late} ms after its end`);
  t.match(await events.text(), /event: error\ndata: .*ERR_UNAUTHORIZED/);
  t.equal((await waiting).status, 401);
  t.equal((await fetch(url, { headers })).status, 200, 'the tolerance for clocks lets it in anew until that ends');
  t.same(
    front.agent.calls.filter(({ name }) => name === 'cancel-turn'),
    [],
  );
  front.agent.emit('s1', { type: 'text', turn: 1, block: 0, text: 'still here' });
  t.match(await lasting.waitFor('text'), { text: 'still here' }, 'another credential of the user is not touched');
});

t.test('auth:refresh goes on with a newer credential: the socket outlives the old one and loses nothing', async (t) => {
  const { front, token, open } = await start(t);
  front.agent.make('s1', 'ada');
  const socket = await open(await token('ada', 2), 's1');
  const witness = await open(await token('ada', 2), 's1');
  socket.send({ type: 'auth:refresh', id: 'r1', token: await token('ada', 600, { groups: ['ops'] }) });
  const refreshed = await socket.waitFor('auth:refreshed');
  t.match(refreshed, { id: 'r1', role: 'operator' });
  t.ok(refreshed.expiresAt! > Date.now() + 500_000);
  await witness.closed;
  front.agent.emit('s1', { type: 'text', turn: 1, block: 0, text: 'on' });
  t.match(await socket.waitFor('text'), { text: 'on' });
  socket.send({ type: 'message', text: 'hi' });
  const { who } = (await front.agent.asked('submit-message')) as { who: unknown };
  t.match(who, { role: 'operator', groups: ['ops'], credential: 'oidc' }, 'the rights are those of the newer one');
  socket.send({ type: 'auth:refresh', token: 'token-of-ada' });
  t.notOk('expiresAt' in (await socket.waitFor('auth:refreshed')), 'a token without an end');
});

t.test('a newer credential that is another user’s or not good ends the socket', async (t) => {
  const { issuer, token, open } = await start(t);
  const bad = {
    'of another user': await token('bob', 600),
    'of another user, made here': 'token-of-bob',
    'that has ended': await token('ada', -100),
    'of another issuer': await issuer.sign({ iss: 'https://other.test' }),
    'that nobody knows': 'flt_x',
  };
  for (const [what, newer] of Object.entries(bad)) {
    const socket = await open('token-of-ada');
    socket.send({ type: 'auth:refresh', token: newer });
    t.match(await socket.closed, { code: 4401 }, what);
    t.notOk(socket.events.some(({ type }) => type === 'auth:refreshed'));
  }
});

t.test('a newer credential that cannot be judged now leaves the old one as it is', async (t) => {
  const { issuer, front, open } = await start(t);
  issuer.away = true;
  const other = await startFront({
    tokens: { ada: 'token-of-ada' },
    auth: { oidc: { issuer: issuer.url, audiences: [AUDIENCE] } },
  });
  t.teardown(() => other.close());
  const socket = await connect(other.url, { token: 'token-of-ada' });
  t.teardown(() => socket.terminate());
  socket.send({ type: 'auth:refresh', id: 'r1', token: await issuer.sign() });
  t.match(await socket.waitFor('error'), { id: 'r1', code: 'ERR_UNAVAILABLE' });
  socket.send({ type: 'ping' });
  await socket.waitFor('pong');
  const good = await open('token-of-ada');
  good.send({ type: 'auth:refresh', token: 'with a blank' });
  t.match(await good.waitFor('error'), { code: 'ERR_BAD_FRAME' });
  t.equal(front.front.counts().connections, 1);
});
