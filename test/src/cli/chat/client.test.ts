import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { ChatClient, type ChatClientOptions } from '../../../../src/cli/chat/client.js';
import { FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import type { ServerEvent } from '../../../../src/shared/protocol.js';
import { answer, askApproval, ProtocolServer, type ServerOptions } from '../../../helpers/protocol-server.js';

async function serverFor(test: Test, options?: ServerOptions): Promise<ProtocolServer> {
  const server = new ProtocolServer(options);
  test.teardown(() => server.close());
  await server.listen();
  return server;
}

/** A client and all it has emitted; `until` looks from where the last one stopped, so that nothing is missed between two. */
function clientFor(
  test: Test,
  options: ChatClientOptions,
): { client: ChatClient; events: ServerEvent[]; until: Until } {
  const client = new ChatClient({ backoff: () => 5, ...options });
  test.teardown(() => client.close());
  const events: ServerEvent[] = [];
  let next = 0;
  client.on('event', (event) => events.push(event));
  const until: Until = async (type) => {
    for (;;) {
      for (; next < events.length;) {
        const event = events[next++];
        if (event !== undefined && isA(event, type)) return event;
      }
      await once(client, 'event', { signal: AbortSignal.timeout(10_000) });
    }
  };
  return { client, events, until };
}

type Until = <T extends ServerEvent['type']>(type: T) => Promise<Extract<ServerEvent, { type: T }>>;

function isA<T extends ServerEvent['type']>(event: ServerEvent, type: T): event is Extract<ServerEvent, { type: T }> {
  return event.type === type;
}

async function ended(client: ChatClient): Promise<FairleadError | undefined> {
  const [error] = (await once(client, 'end', { signal: AbortSignal.timeout(10_000) })) as [FairleadError | undefined];
  return error;
}

function textOf(events: readonly ServerEvent[]): string {
  return events.map((event) => (event.type === 'text:delta' ? event.text : '')).join('');
}

t.test('a message is answered by a streamed text and one turn:end', async (t) => {
  const server = await serverFor(t);
  const { client, events, until } = clientFor(t, { ws: server.ws, token: 'flt_x', model: 'other' });
  client.start();
  client.message('hello');
  t.equal(client.busy, true);
  await until('turn:end');
  t.equal(textOf(events), 'echo: hello');
  t.equal(client.busy, false);
  t.strictSame(server.attaches, [{ session: null, after: null, model: 'other', authorization: 'Bearer flt_x' }]);
});

t.test('after a cut it comes back with the session and the last seq, and sees each event once', async (t) => {
  const server = await serverFor(t, { onMessage: () => undefined });
  const { client, events, until } = clientFor(t, { ws: server.ws });
  client.start();
  client.message('hello');
  await until('turn:start');
  const session = [...server.sessions.values()][0];
  if (session === undefined) throw new Error('no session');
  session.stream({ type: 'text:delta', turn: 1, block: 0, offset: 0, text: 'one ' });
  await until('text:delta');
  server.cut();
  await once(client, 'retry');
  session.add({ type: 'text', turn: 1, block: 0, text: 'one two three' });
  session.end(1);
  await until('turn:end');
  t.equal(textOf(events), 'one two three');
  t.match(server.attaches[1], { session: session.id, after: '2' });
  const seqs = events.flatMap((event) => ('seq' in event && event.type !== 'session:ready' ? [event.seq] : []));
  t.strictSame(seqs, [1, 2, 3, 4]);
});

t.test('what is sent twice is given on once, also where pieces overlap', async (t) => {
  const server = await serverFor(t, {
    onMessage: (session, turn) => {
      session.stream({ type: 'text:delta', turn, block: 0, offset: 0, text: 'abc' });
      session.stream({ type: 'text:delta', turn, block: 0, offset: 0, text: 'abcdef' });
      session.stream({ type: 'text:delta', turn, block: 0, offset: 4, text: 'ef' });
      // A hole: this one waits for its finished block.
      session.stream({ type: 'text:delta', turn, block: 0, offset: 8, text: 'ij' });
      session.add({ type: 'text', turn, block: 0, text: 'abcdefghij' });
      for (const event of session.log) session.sendRaw(event);
      session.stream({ type: 'text:delta', turn, block: 0, offset: 0, text: 'abcdefghij' });
      session.end(turn);
      session.stream({ type: 'text:delta', turn, block: 0, offset: 0, text: 'late' });
    },
  });
  const { client, events, until } = clientFor(t, { ws: server.ws });
  client.start();
  client.message('go');
  await until('turn:end');
  t.equal(textOf(events), 'abcdefghij');
  t.equal(events.filter(({ type }) => type === 'text').length, 1);
  t.equal(events.filter(({ type }) => type === 'message:accepted').length, 1);
});

t.test('a seq that is missing makes it attach again from the last one it has', async (t) => {
  const server = await serverFor(t, { onMessage: () => undefined });
  const { client, events, until } = clientFor(t, { ws: server.ws });
  client.start();
  client.message('hello');
  await until('turn:start');
  const session = [...server.sessions.values()][0];
  if (session === undefined) throw new Error('no session');
  const sockets = [...session.sockets];
  session.sockets.clear();
  session.add({ type: 'text', turn: 1, block: 0, text: 'missed' });
  for (const socket of sockets) session.sockets.add(socket);
  session.end(1);
  await until('turn:end');
  t.equal(textOf(events), 'missed');
  t.match(server.attaches[1], { after: '2' });
});

t.test('a message without an answer is sent again with the same id and runs once', async (t) => {
  const server = await serverFor(t);
  server.swallow = 1;
  const { client, events, until } = clientFor(t, { ws: server.ws });
  client.start();
  await until('session:ready');
  const id = client.message('hello');
  await once(server, 'frame');
  server.cut();
  await until('turn:end');
  t.strictSame(
    server.frames.map((frame) => frame.id),
    [id, id],
  );
  t.equal(textOf(events), 'echo: hello');
});

t.test('a message whose acceptance the replay brings is not sent again', async (t) => {
  const server = await serverFor(t);
  const { client, until } = clientFor(t, { ws: server.ws });
  client.start();
  await until('session:ready');
  const session = [...server.sessions.values()][0];
  if (session === undefined) throw new Error('no session');
  session.sockets.clear();
  client.message('hello');
  await once(server, 'frame');
  server.cut();
  await until('turn:end');
  t.equal(server.frames.length, 1);
  t.equal(client.busy, false);
});

t.test('the answer to a message sent twice may be its first one again', async (t) => {
  const server = await serverFor(t);
  const { client, until } = clientFor(t, { ws: server.ws });
  client.start();
  const id = client.message('hello');
  await until('turn:end');
  const session = [...server.sessions.values()][0];
  server.swallow = 1;
  const other = client.message('again');
  await once(server, 'frame');
  session?.sendRaw({ type: 'message:accepted', id: other, turn: 1, queued: 0, seq: 1 });
  session?.sendRaw({ type: 'pong', id });
  await until('pong');
  t.equal(client.busy, false);
});

t.test('an approval is open until it is answered, and its answer survives a cut', async (t) => {
  const server = await serverFor(t, {
    onMessage: (session, turn) => askApproval(session, turn, 'call-1'),
  });
  const { client, until } = clientFor(t, { ws: server.ws });
  client.start();
  client.message('run it');
  await until('tool:approval_required');
  t.equal(client.pending.length, 1);
  server.cut();
  await once(client, 'retry');
  client.approve({ callId: 'call-1', approved: true });
  t.equal(client.pending.length, 0);
  await once(server, 'frame');
  t.match(server.frames.at(-1), { type: 'tool:approval', callId: 'call-1', approved: true });
  const session = [...server.sessions.values()][0];
  if (session === undefined) throw new Error('no session');
  session.pending = [];
  session.add({ type: 'tool:approved', callId: 'call-1', by: 'user' });
  answer(session, 1, 'done');
  await until('turn:end');
  t.equal(client.pending.length, 0);
});

t.test('an approval answered elsewhere while away is not sent', async (t) => {
  const server = await serverFor(t, {
    onMessage: (session, turn) => askApproval(session, turn, 'call-1'),
  });
  const { client, until } = clientFor(t, { ws: server.ws });
  client.start();
  client.message('run it');
  await until('tool:approval_required');
  server.cut();
  await once(client, 'retry');
  client.approve({ callId: 'call-1', approved: true });
  const session = [...server.sessions.values()][0];
  if (session === undefined) throw new Error('no session');
  session.pending = [];
  session.add({ type: 'tool:denied', callId: 'call-1', by: 'timeout' });
  session.end(1);
  await until('turn:end');
  t.equal(server.frames.filter(({ type }) => type === 'tool:approval').length, 0);
});

t.test('a refused answer opens its question again, a late one closes it', async (t) => {
  const server = await serverFor(t, {
    onMessage: (session, turn) => askApproval(session, turn, 'call-1'),
    onFrame: (session, { id }) => session.sendRaw({ type: 'error', id, code: codes.shift(), message: 'no' }),
  });
  const codes = ['ERR_BAD_FRAME', 'ERR_CALL_NOT_PENDING'];
  const { client, until } = clientFor(t, { ws: server.ws });
  client.start();
  client.message('run it');
  await until('tool:approval_required');
  client.approve({ callId: 'call-1', approved: true });
  await until('error');
  t.equal(client.pending.length, 1);
  client.approve({ callId: 'call-1', approved: true });
  await until('error');
  t.equal(client.pending.length, 0);
});

for (const [code, expected] of [
  [4401, 'ERR_UNAUTHORIZED'],
  [4404, 'ERR_NO_SUCH_SESSION'],
  [4400, 'ERR_BAD_FRAME'],
] as const) {
  t.test(`a close ${code} is explained and not tried again`, async (t) => {
    const server = await serverFor(t);
    server.refuseWith = code;
    const { client } = clientFor(t, { ws: server.ws, session: 'gone' });
    client.on('retry', () => t.fail('tried again'));
    client.start();
    t.ok(isFairleadError(await ended(client), expected));
    t.equal(server.attaches.length, 1);
  });
}

t.test('an overloaded server is tried again', async (t) => {
  const server = await serverFor(t);
  server.refuseWith = 1013;
  const { client, until } = clientFor(t, { ws: server.ws });
  client.start();
  await once(client, 'retry');
  server.refuseWith = undefined;
  await until('session:ready');
  t.equal(client.attached, true);
});

t.test('a server that stays away ends it once its time is over', async (t) => {
  const server = await serverFor(t);
  const { client, until } = clientFor(t, { ws: server.ws, giveUpMs: 0 });
  client.start();
  await until('session:ready');
  await server.close();
  t.ok(isFairleadError(await ended(client), 'ERR_UNAVAILABLE'));
});

t.test('an address where nobody listens is said at once', async (t) => {
  const server = await serverFor(t);
  const { ws } = server;
  await server.close();
  const { client } = clientFor(t, { ws });
  client.on('retry', () => t.fail('tried again'));
  client.start();
  t.ok(isFairleadError(await ended(client), 'ERR_UNAVAILABLE'));
});

t.test('an HTTP server that speaks no WebSocket is said at once', async (t) => {
  const server = await serverFor(t);
  const { client } = clientFor(t, { ws: `${server.url.replace('http', 'ws')}/elsewhere` });
  client.start();
  t.ok(isFairleadError(await ended(client), 'ERR_NOT_FOUND'));
});

t.test('a message longer than the server takes is refused here, before and after the attach', async (t) => {
  const server = await serverFor(t, { maxFrameBytes: 200 });
  const { client, until } = clientFor(t, { ws: server.ws });
  client.start();
  const id = client.message('x'.repeat(500));
  const error = await until('error');
  t.match(error, { code: 'ERR_TOO_LARGE', id });
  t.throws(() => client.message('x'.repeat(500)), { code: 'ERR_TOO_LARGE' });
  t.equal(server.frames.length, 0);
  t.equal(client.busy, false);
});

t.test('a gap in the log ends turns that the transcript shows as over', async (t) => {
  const server = await serverFor(t, { onMessage: () => undefined });
  const { client, until } = clientFor(t, { ws: server.ws });
  client.start();
  client.message('hello');
  await until('turn:start');
  const session = [...server.sessions.values()][0];
  if (session === undefined) throw new Error('no session');
  server.cut();
  await once(client, 'retry');
  answer(session, 1, 'long ago');
  session.log.splice(0, 4);
  const ready = await until('session:ready');
  t.equal(ready.reset, true);
  t.equal(client.busy, false);
});

t.test('where the token must not be sent nothing is connected to, at a reconnect neither', async (t) => {
  let connections = 0;
  const server = await serverFor(t);
  const front = createServer((socket) => {
    connections++;
    socket.on('error', () => undefined); // cut by the test
    const back = connect(Number(new URL(server.url).port), '127.0.0.1');
    back.on('error', () => undefined);
    socket.pipe(back).pipe(socket);
    back.on('close', () => socket.destroy());
  }).listen(0, '127.0.0.1');
  t.teardown(() => front.close());
  await once(front, 'listening');
  let strange = false;
  const { client, until } = clientFor(t, {
    ws: `ws://127.0.0.1:${(front.address() as AddressInfo).port}/v1/ws`,
    token: 'flt_x',
    guard: () => {
      if (strange) throw new FairleadError('ERR_CONFIG', 'a stranger listens there');
    },
  });
  client.start();
  await until('session:ready');
  strange = true;
  const end = ended(client);
  server.cut();
  t.match(await end, { code: 'ERR_CONFIG', message: 'a stranger listens there' });
  t.equal(connections, 1);
});
