import { once } from 'node:events';
import type { Socket } from 'node:net';
import t from 'tap';
import { pending } from '../../../src/shared/abort.js';
import { connect } from '../../helpers/ws-client.js';
import { connectTcp, type Fixture, type FixtureOptions, startFront } from './front-fixture.js';

type PerAddress = { pendingSockets?: number; requestsPerSecond?: number; openRequests?: number };
type Test = { teardown: (fn: () => unknown) => unknown };

const VALID = { authorization: 'Bearer token-a' };
const WRONG = { authorization: 'Bearer wrong' };

async function front(t: Test, perAddress: PerAddress, more: FixtureOptions = {}): Promise<Fixture> {
  const limits = { perAddress: { pendingSockets: 1_024, requestsPerSecond: 20, openRequests: 32, ...perAddress } };
  const fixture = await startFront({ tokens: { ann: 'token-a' }, limits, ...more });
  t.teardown(() => fixture.close());
  return fixture;
}

async function tcp(t: Test, { port }: Fixture): Promise<Socket> {
  const socket = connectTcp(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** The first line of the answer; '' when the server closes the socket without one. */
async function ask(socket: Socket, head = `GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`): Promise<string> {
  const answered = new Promise<string>((resolve) => {
    socket.once('data', (data) => resolve(String(data).split('\r\n', 1)[0]!));
  });
  socket.write(head);
  return await Promise.race([closed(socket).then(() => ''), answered]);
}

/** Also by an error: TLS calls it one that a connection ends before its handshake. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** Asks again while the bucket, which fills meanwhile, lets requests through. */
async function untilRefused(request: () => Promise<Response>): Promise<Response> {
  for (;;) {
    const answer = await request();
    if (answer.status === 429) return answer;
  }
}

t.test(
  'failed logins of one address get 429 after eight seconds’ worth, and valid tokens from there pass',
  async (t) => {
    const { url } = await front(t, { requestsPerSecond: 1 });
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`${url}/v1/sessions`, { headers })).status;
    for (let count = 0; count < 8; count++) t.equal(await status(WRONG), 401);
    const refused = await untilRefused(() => fetch(`${url}/v1/sessions`, { headers: WRONG }));
    t.equal(refused.status, 429);
    t.match(refused.headers.get('retry-after'), /^\d+$/);
    t.equal(refused.headers.get('connection'), 'close');
    t.match(await refused.json(), { code: 'ERR_TOO_MANY_REQUESTS' });
    await untilRefused(() => fetch(`${url}/nowhere`));
    t.equal(await status(VALID), 200);
    const probe = await fetch(`${url}/healthz`);
    t.equal(probe.status, 200, 'probes are answered');
    t.equal(probe.headers.get('connection'), 'close');
    const bad = await (await connect(url, { token: 'wrong' })).closed;
    t.match(bad, { code: 1013, reason: /try again in \d+ s/ });
    const good = await connect(url, { token: 'token-a' });
    await good.ready;
    await good.close();
  },
);

t.test('sockets that send no request are limited, and each that asks or leaves makes room', async (t) => {
  const fixture = await front(t, { pendingSockets: 2 });
  const [first, second] = [await tcp(t, fixture), await tcp(t, fixture)];
  const third = await tcp(t, fixture);
  await closed(third);
  t.match(await ask(first), / 200 /);
  t.match(await ask(await tcp(t, fixture)), / 200 /, 'one has asked');
  second.destroy();
  for (;;) {
    // The server may not have noticed yet.
    const [one, other] = [await tcp(t, fixture), await tcp(t, fixture)];
    const answers = [await ask(one), await ask(other)];
    if (answers.every((answer) => answer.includes(' 200 '))) break;
  }
});

t.test('upgrades and heads that are cut count once', async (t) => {
  const fixture = await front(t, { pendingSockets: 2 });
  await tcp(t, fixture);
  for (let count = 0; count < 5; count++) {
    const client = await connect(fixture.url, { token: 'token-a' });
    await client.ready;
    if (count % 2 === 0) await client.close();
    else t.teardown(() => client.terminate());
  }
  for (let count = 0; count < 3; count++) {
    const cut = await tcp(t, fixture);
    t.equal(await ask(cut, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'), '');
  }
  await tcp(t, fixture);
  await closed(await tcp(t, fixture));
  t.pass('two are waiting, so the third was closed');
});

t.test('a head that does not end is closed, however its bytes trickle', async (t) => {
  const fixture = await front(t, {});
  const slow = await tcp(t, fixture);
  slow.write('GET /healthz HTTP/1.1\r\nX: ');
  const trickle = setInterval(() => slow.write('x'), 500);
  t.teardown(() => clearInterval(trickle));
  await closed(slow);
  t.pass('it was closed');
});

t.test('a trusted proxy’s clients have limits of their own, and its sockets are not limited', async (t) => {
  const listen = { trustedProxies: ['127.0.0.1'] };
  const fixture = await front(t, { requestsPerSecond: 1, pendingSockets: 1 }, { listen });
  const askFrom = (forwardedFor: string): Promise<Response> =>
    fetch(`${fixture.url}/v1/sessions`, { headers: { ...WRONG, 'x-forwarded-for': forwardedFor } });
  let guess = 0;
  await untilRefused(() => askFrom(`203.0.113.${guess++ % 256}, 192.0.2.1`)); // made-up addresses before its own help nobody
  t.equal((await askFrom('192.0.2.2')).status, 401, 'another client');
  const sockets = [await tcp(t, fixture), await tcp(t, fixture), await tcp(t, fixture)];
  for (const socket of sockets) t.match(await ask(socket), / 200 /);
});

t.test('requests without credentials that are unanswered are limited', async (t) => {
  const fixture = await front(t, { openRequests: 2 });
  const held = pending<unknown>();
  fixture.agent.overrides.set('mcp-callback', () => held.promise);
  const back = `${fixture.url}/v1/mcp/oauth/callback?state=s`;
  const waiting = [fetch(back), fetch(back)];
  await fixture.agent.asked('mcp-callback', 2);
  t.equal((await fetch(back)).status, 429);
  held.resolve({ ok: true });
  for (const answer of waiting) t.equal((await answer).status, 200);
  t.equal((await fetch(back)).status, 200, 'an answer makes room');
});
