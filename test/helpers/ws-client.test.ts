import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { WebSocketServer, type WebSocket } from 'ws';
import { connect, UpgradeRefused, type ConnectOptions, type TestClient } from './ws-client.js';

interface Pair {
  client: TestClient;
  peer: WebSocket;
  request: { url: string; headers: Record<string, unknown> };
}

const limits = { maxFrameBytes: 1, maxInFlight: 1 };
const ready = { type: 'session:ready', session: 's', seq: 0, resumed: false, model: 'm', pending: [], limits };

async function pair(t: Test, options: ConnectOptions = {}): Promise<Pair> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  t.teardown(() => server.close());
  await once(server, 'listening');
  const attached = once(server, 'connection');
  const client = await connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, options);
  t.teardown(() => client.terminate());
  const [peer, request] = (await attached) as [WebSocket, Pair['request']];
  return { client, peer, request };
}

const delta = (block: number, offset: number, text: string): object => ({
  type: 'text:delta',
  turn: 1,
  block,
  offset,
  text,
});

const tell = (peer: WebSocket, ...events: object[]): void => {
  for (const event of events) peer.send(JSON.stringify(event));
};

t.test(
  'it asks for the session, the place in its log and the model in the query, and sends its token in a header',
  async (t) => {
    const { request, client } = await pair(t, { session: 'abc', after: 7, model: 'm', token: 'secret' });
    t.equal(request.url, '/v1/ws?session=abc&after=7&model=m');
    t.equal(request.headers['authorization'], 'Bearer secret');
    t.equal(client.socket.protocol, 'fairlead.v1');
  },
);

t.test('as a browser it sends its token as a second subprotocol', async (t) => {
  const { request } = await pair(t, { token: 'secret', browser: true, origin: 'http://elsewhere' });
  t.equal(request.headers['sec-websocket-protocol'], 'fairlead.v1,bearer.secret');
  t.equal(request.headers['authorization'], undefined);
  t.equal(request.headers['origin'], 'http://elsewhere');
});

t.test('an upgrade that is refused rejects with the status', async (t) => {
  const server = createServer();
  server.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n'));
  server.listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const error = await connect(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`).then(
    () => undefined,
    (error: unknown) => error,
  );
  t.ok(error instanceof UpgradeRefused && error.status === 403);
});

t.test('waitFor finds frames that are here already, then new ones, each only once', async (t) => {
  const { client, peer } = await pair(t);
  tell(peer, ready, { type: 'turn:start', turn: 1, seq: 1 });
  await client.waitFor('turn:start');
  const next = client.waitFor('turn:start');
  tell(peer, { type: 'turn:start', turn: 2, seq: 2 });
  t.equal((await next).turn, 2);
  t.equal((await client.waitFor('turn:start', { from: 0 })).turn, 1);
  t.equal((await client.ready).session, 's');
  t.same(client.gaps(), []);
});

t.test('waitFor rejects at its deadline, and at once when the socket closes', async (t) => {
  const { client, peer } = await pair(t);
  await t.rejects(client.waitFor('pong', { timeoutMs: 20 }), /20 ms passed/);
  const waiting = client.waitFor('pong', { timeoutMs: 60_000 });
  peer.close(4404, 'gone');
  await t.rejects(waiting, /closed with 4404/);
  t.same(await client.closed, { code: 4404, reason: 'gone' });
});

t.test('a seq that is missing or comes twice is told', async (t) => {
  const { client, peer } = await pair(t, { after: 4 });
  tell(peer, { ...ready, seq: 5 }, { type: 'turn:start', turn: 1, seq: 5 });
  await client.waitFor('turn:start');
  t.same(client.gaps(), []);
  tell(peer, { type: 'history:cleared', seq: 7 }, { type: 'history:cleared', seq: 7 }, { type: 'pong' });
  await client.waitFor('pong');
  t.equal(client.gaps().length, 2);
  t.equal(client.lastSeq, 7);
});

t.test('a first frame that is not session:ready, a binary frame and a frame that is no JSON are told', async (t) => {
  const { client, peer } = await pair(t);
  peer.send(Buffer.from('{}'));
  peer.send('not json');
  tell(peer, { type: 'pong' });
  await client.waitFor('pong');
  t.equal(client.gaps().length, 3);
});

t.test('the text of a turn is put together by block and offset and agrees with the finished blocks', async (t) => {
  const { client, peer } = await pair(t);
  tell(peer, ready, delta(0, 0, 'Hel'), delta(0, 2, 'llo'), { type: 'text', turn: 1, block: 0, text: 'Hello', seq: 1 });
  tell(peer, delta(2, 0, ', you'), { type: 'pong' });
  await client.waitFor('pong');
  t.equal(client.text(1), 'Hello, you');
  t.equal(client.text(2), '');
  tell(peer, { type: 'text', turn: 1, block: 2, text: ', me', seq: 2 });
  await client.waitFor((event) => event.type === 'text' && event.block === 2);
  t.throws(() => client.text(1));
  t.equal(client.gaps().length, 1);
});

t.test('ask says it and waits for the end of the turn it became', async (t) => {
  const { client, peer } = await pair(t);
  peer.once('message', (data: Buffer) => {
    const { id } = JSON.parse(data.toString()) as { id: string };
    tell(peer, ready, { type: 'message:accepted', id, turn: 3, queued: 0, seq: 1 });
    tell(peer, { type: 'turn:end', turn: 2, stopReason: 'cancelled', seq: 2 });
    tell(peer, { type: 'turn:end', turn: 3, stopReason: 'end_turn', seq: 3 });
  });
  t.equal((await client.ask('hi')).turn, 3);
});

t.test('a paused client reads nothing until it resumes', async (t) => {
  const { client, peer } = await pair(t);
  client.pause();
  const bytes = 8 * 1024 * 1024;
  const flushed = new Promise<void>((resolve) =>
    peer.send(JSON.stringify({ ...ready, model: 'x'.repeat(bytes) }), () => resolve()),
  );
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(peer.bufferedAmount > 0);
  t.equal(client.events.length, 0);
  client.resume();
  t.equal((await client.ready).model.length, bytes);
  await flushed;
});
