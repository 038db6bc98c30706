/** Why sockets close, with which code, and what is refused before that. */
import { once } from 'node:events';
import t from 'tap';
import { connect } from '../../helpers/ws-client.js';
import { connectTcp, startFront } from './front-fixture.js';

t.test('too many frames before session:ready close 1013', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-flood');
  fixture.agent.overrides.set('attach', () => new Promise(() => undefined));
  const client = await connect(fixture.url, { session });
  t.teardown(() => client.terminate());
  for (let count = 0; count < 65; count++) client.send({ type: 'ping' });
  // With the reason: an attach that takes too long closes 1013 as well.
  t.match(await client.closed, { code: 1013, reason: 'too much was sent before session:ready' });
});

t.test('close codes of an attach that fails', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  fixture.agent.make('s-other', 'someone-else');
  fixture.agent.make('s-mine');
  const cases: [string, Parameters<typeof connect>[1], number][] = [
    ['an unknown session is 4404', { session: 'nowhere' }, 4404],
    ['the session of another user is 4404', { session: 's-other' }, 4404],
    ['what cannot be an id is 4404', { session: '../etc/passwd' }, 4404],
    ['after ahead of the log is 4400', { session: 's-mine', after: 7 }, 4400],
    ['a negative after is 4400', { session: 's-mine', after: -1 }, 4400],
    ['a broken after is 4400', { session: 's-mine', after: 1.5 }, 4400],
    ['a model that is not allowed is 4400', { model: 'forbidden' }, 4400],
  ];
  for (const [name, options, code] of cases) {
    const client = await connect(fixture.url, options);
    t.equal((await client.closed).code, code, name);
    t.strictSame(client.events, [], 'no frame comes');
  }
  const other = await connect(fixture.url, { session: 's-other' });
  const nowhere = await connect(fixture.url, { session: 'nowhere' });
  t.equal((await other.closed).reason, (await nowhere.closed).reason, 'the two cannot be told apart');
});

t.test('a socket closes 1013 when the agent thread does not answer, and 1001 when the server drains', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { FairleadError } = await import('../../../src/shared/errors.js');
  fixture.agent.overrides.set('attach', () => {
    throw new FairleadError('ERR_UNAVAILABLE', 'the store does not answer');
  });
  const unavailable = await connect(fixture.url);
  t.equal((await unavailable.closed).code, 1013);
  fixture.front.stopAccepting();
  const draining = await connect(fixture.url);
  t.equal((await draining.closed).code, 1001);
});

t.test('the 21st socket of a user closes 1013, and another may come when one has gone', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(fixture.url)));
  t.teardown(() => Promise.all(clients.map((client) => client.terminate())));
  await Promise.all(clients.map((client) => client.ready));
  const extra = await connect(fixture.url);
  t.equal((await extra.closed).code, 1013);
  await clients[0]!.close();
  const again = await connect(fixture.url);
  t.teardown(() => again.terminate());
  await again.ready;
});

t.test('replays count as reads of the user, and joining without one does not', async (t) => {
  const fixture = await startFront({ limits: { maxReadsPerSecond: 1 } });
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s');
  const join = async (options: { after?: number }): Promise<number> => {
    const client = await connect(fixture.url, { session, ...options });
    const code = await Promise.race([client.ready.then(() => 0), client.closed.then((end) => end.code)]);
    await client.terminate();
    return code;
  };
  let refused = 0;
  for (let turn = 0; turn < 30 && refused === 0; turn++) refused = await join({ after: 0 });
  t.equal(refused, 1013);
  t.equal(await join({}), 0);
});

t.test('beyond maxConnections a socket closes 1013', async (t) => {
  const fixture = await startFront({ limits: { maxConnections: 1 } });
  t.teardown(() => fixture.close());
  const first = await connect(fixture.url);
  t.teardown(() => first.terminate());
  await first.ready;
  t.equal((await (await connect(fixture.url)).closed).code, 1013);
});

t.test('five bad frames in a row close 4400; binary counts, a good one resets', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const client = await connect(fixture.url);
  t.teardown(() => client.terminate());
  await client.ready;
  for (const bad of ['not json', Buffer.from([1, 2]), '{"type":"message"}', '[]']) client.sendRaw(bad);
  client.send({ type: 'ping' });
  await client.waitFor('pong');
  for (const bad of ['null', '{"type":"nope","id":"n1"}', '{}', Buffer.from('{"type":"ping"}')]) client.sendRaw(bad);
  client.send({ type: 'ping' });
  await client.waitFor('pong');
  const errors = client.events.filter((event) => event.type === 'error');
  t.strictSame(
    errors.map(({ code }) => code),
    Array.from({ length: 8 }, () => 'ERR_BAD_FRAME'),
  );
  t.equal(errors[5]?.id, 'n1', 'an id that can be read is echoed');
  for (let count = 0; count < 5; count++) client.sendRaw('bad');
  t.equal((await client.closed).code, 4400);
});

t.test('a frame over the limit cuts the socket; one just below it passes', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const client = await connect(fixture.url);
  t.teardown(() => client.terminate());
  await client.ready;
  client.say('x'.repeat(1_000_000));
  await client.waitFor('message:accepted');
  client.say('x'.repeat(2 * 1024 * 1024));
  t.match([1006, 1009].includes((await client.closed).code), true);
  t.equal(fixture.front.counts().connections, 0);
});

t.test('more than 64 unanswered frames are refused without asking the agent', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  fixture.agent.overrides.set('cancel-turn', () => new Promise(() => undefined));
  const client = await connect(fixture.url);
  t.teardown(() => client.terminate());
  await client.ready;
  for (let count = 1; count <= 65; count++) client.send({ type: 'turn:cancel', id: `c${count}` });
  t.match(await client.waitFor('error'), { id: 'c65', code: 'ERR_TOO_MANY_REQUESTS', retryAfterMs: Number });
});

t.test('a deleted session closes its sockets 4404', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-del');
  const client = await connect(fixture.url, { session });
  await client.ready;
  const response = await fetch(`${fixture.url}/v1/sessions/${session}`, { method: 'DELETE' });
  t.equal(response.status, 204);
  t.equal((await client.closed).code, 4404);
  t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
});

t.test('closeAll closes every socket with its code, and everything may be called twice', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const clients = await Promise.all([connect(fixture.url), connect(fixture.url)]);
  await Promise.all(clients.map((client) => client.ready));
  fixture.front.stopAccepting();
  fixture.front.stopAccepting();
  await Promise.all([fixture.front.closeAll(1001, 'stop'), fixture.front.closeAll(1001, 'stop')]);
  for (const client of clients) t.strictSame(await client.closed, { code: 1001, reason: 'stop' });
  await fixture.front.close();
  await fixture.front.close();
});

t.test('a peer that says nothing is cut when its idle time is over', async (t) => {
  const fixture = await startFront({ limits: { idleTimeoutMs: 8_000 } });
  t.teardown(() => fixture.close());
  // A raw socket: it never answers a ping.
  const socket = connectTcp(fixture.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.write(
    `GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:${fixture.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  let received = Buffer.alloc(0);
  socket.on('data', (data) => {
    received = Buffer.concat([received, data]);
  });
  await once(socket, 'close');
  t.ok(received.includes('session:ready'));
  t.ok(received.includes(Buffer.from([0x89, 0x00])), 'it was pinged first');
  t.equal(fixture.front.counts().connections, 0);
});
