import { once } from 'node:events';
import { Agent, request, type ClientRequest, type IncomingMessage } from 'node:http';
import t, { type Test } from 'tap';
import { AUDIENCE, JwtIssuer } from '../../helpers/jwt-issuer.js';
import { deferred } from '../../helpers/processes.js';
import { connect } from '../../helpers/ws-client.js';
import { startFront, type Fixture } from './front-fixture.js';

/** `held`: the issuer answers nothing before. */
async function start(t: Test, held?: Promise<void>): Promise<{ issuer: JwtIssuer; front: Fixture }> {
  const issuer = await JwtIssuer.start();
  t.teardown(() => issuer.close());
  if (held) issuer.held = held;
  const oidc = { issuer: issuer.url, audiences: [AUDIENCE], roles: { operator: ['ops'] } };
  const front = await startFront({ auth: { oidc } });
  t.teardown(() => front.close());
  return { issuer, front };
}

async function answerTo(
  asked: ClientRequest,
): Promise<{ status: number; headers: IncomingMessage['headers']; text: string }> {
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return { status: answer.statusCode ?? 0, headers: answer.headers, text };
}

t.test(
  'a JWT opens a WebSocket, by header and as a browser sends it, and session:ready says what it says',
  async (t) => {
    const { issuer, front } = await start(t);
    const token = await issuer.issue('olga', { claims: { groups: ['ops'] } });
    for (const browser of [false, true]) {
      const client = await connect(front.url, { token, browser });
      t.teardown(() => client.terminate());
      t.match(await client.ready, { user: 'olga', role: 'operator' });
      const { who } = (await front.agent.asked('attach', browser ? 2 : 1)) as { who: unknown };
      t.match(who, { role: 'operator', groups: ['ops'], credential: 'oidc', address: '127.0.0.1' });
    }
    const refused = await connect(front.url, { token: await issuer.sign({ aud: 'x' }) });
    t.match(await refused.closed, { code: 4401, reason: /audience/ });
  },
);

t.test('a body that comes while a JWT is checked is not lost, whatever its length', async (t) => {
  for (const length of [10, 300_000]) {
    const gate = deferred<void>();
    const { issuer, front } = await start(t, gate.promise);
    front.agent.make('s1', 'ada');
    const text = 'x'.repeat(length);
    const json = JSON.stringify({ text });
    const asked = request(`${front.url}/v1/sessions/s1/messages`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${await issuer.issue('ada')}`,
        'content-type': 'application/json',
        'content-length': json.length,
      },
    });
    t.teardown(() => asked.destroy());
    asked.on('error', () => undefined);
    asked.write(json.slice(0, json.length / 2));
    asked.end(json.slice(json.length / 2));
    const got = front.agent.asked('submit-message');
    gate.resolve();
    t.equal(((await got) as { content: { text: string }[] }).content[0]?.text, text, `${length} characters`);
  }
});

t.test('a refused JWT costs its request and not the connection', async (t) => {
  const { issuer, front } = await start(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const post = (token: string): ClientRequest => {
    const asked = request(`${front.url}/v1/sessions`, {
      agent,
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    });
    asked.end('{}');
    return asked;
  };
  const refused = await answerTo(post(await issuer.sign({ nbf: 4_000_000_000 })));
  t.equal(refused.status, 401);
  t.match(refused.text, /does not count yet/);
  t.equal(refused.headers['www-authenticate'], 'Bearer error="invalid_token"');
  const { status } = await answerTo(post(await issuer.issue('ada')));
  t.equal(status, 201);
});

t.test('a client that leaves while its JWT is checked costs nothing', async (t) => {
  const gate = deferred<void>();
  const { issuer, front } = await start(t, gate.promise);
  const token = await issuer.issue('ada');
  const asked = request(`${front.url}/v1/sessions`, { headers: { authorization: `Bearer ${token}` } });
  asked.on('error', () => undefined);
  asked.end();
  const socket = connect(front.url, { token }).catch(() => undefined);
  await once(asked, 'socket');
  asked.destroy();
  gate.resolve();
  const client = await socket;
  t.teardown(() => client?.terminate());
  t.match(await client?.ready, { user: 'ada' });
  const answer = await fetch(`${front.url}/v1/sessions`, { headers: { authorization: `Bearer ${token}` } });
  t.equal(answer.status, 200);
});

t.test('while the issuer is away a socket is told to come again, and not that its token is bad', async (t) => {
  const gate = deferred<void>();
  const { issuer, front } = await start(t, gate.promise);
  issuer.away = true;
  gate.resolve();
  const client = await connect(front.url, { token: await issuer.sign() });
  t.match(await client.closed, { code: 1013 });
  const answer = await fetch(`${front.url}/v1/sessions`, {
    headers: { authorization: `Bearer ${await issuer.sign()}` },
  });
  t.equal(answer.status, 503);
  t.ok(answer.headers.get('retry-after'));
});
