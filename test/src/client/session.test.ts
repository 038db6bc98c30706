import { once } from 'node:events';
import t, { type Test } from 'tap';
import { ClientError } from '../../../src/client/client-error.js';
import { Fairlead } from '../../../src/client/node.js';
import type { Session, SessionOptions } from '../../../src/client/session.js';
import type { SessionEvent } from '../../../src/client/session-event.js';
import type { Token } from '../../../src/client/token.js';
import type { ServerEvent } from '../../../src/shared/protocol.js';
import {
  answer,
  askApproval,
  ProtocolServer,
  type Session as ServerSession,
  type ServerOptions,
} from '../../helpers/protocol-server.js';

const WAIT_MS = 30_000;

async function serverFor(test: Test, options?: ServerOptions): Promise<ProtocolServer> {
  const server = new ProtocolServer(options);
  test.teardown(() => server.close());
  await server.listen();
  return server;
}

function openAt(test: Test, server: ProtocolServer, options: SessionOptions & { token?: Token } = {}): Session {
  const { token, ...rest } = options;
  const session = new Fairlead({ url: server.url, token }).open({ backoffMs: () => 5, ...rest });
  test.teardown(() => session.close());
  return session;
}

/** Reads until the event comes, and returns all on the way. */
async function readTo(session: Session, type: SessionEvent['type']): Promise<SessionEvent[]> {
  const seen: SessionEvent[] = [];
  for await (const event of session) {
    seen.push(event);
    if (event.type === type) return seen;
  }
  throw new Error(`${type} did not come, but ${seen.map((event) => event.type).join()}`);
}

const seqsOf = (events: readonly SessionEvent[]): number[] =>
  events.flatMap((event) => ('seq' in event && event.type !== 'session:ready' ? [event.seq] : []));

const textOf = (events: readonly SessionEvent[]): string =>
  events.map((event) => (event.type === 'text:delta' ? event.text : '')).join('');

const onlySession = (server: ProtocolServer): ServerSession => [...server.sessions.values()][0]!;

t.test('a loop over the session gets every event, and a second one goes on where the first was left', async (t) => {
  const server = await serverFor(t);
  const session = openAt(t, server);
  const accepted = session.send('hello', { id: 'm1' });
  const first = await readTo(session, 'turn:start');
  const second = await readTo(session, 'turn:end');
  t.strictSame(seqsOf([...first, ...second]), [1, 2, 3, 4]);
  t.equal(textOf(second), 'echo: hello');
  t.strictSame(await accepted, { id: 'm1', turn: 1 });
  t.equal(session.seq, 4);
  t.equal(session.state, 'live');
  t.strictSame(
    first.slice(0, 2).map(({ type }) => type),
    ['connection:live', 'session:ready'],
  );
});

t.test('after a cut the stream goes on: no event twice, and no text that was given before', async (t) => {
  const server = await serverFor(t, { onMessage: () => undefined });
  const session = openAt(t, server);
  void session.send('hello');
  const before = await readTo(session, 'turn:start');
  const there = onlySession(server);
  there.stream({ type: 'text:delta', turn: 1, block: 0, offset: 0, text: 'one ' });
  before.push(...(await readTo(session, 'text:delta')));
  server.cut();
  const lost = await readTo(session, 'connection:reconnecting');
  t.match(lost.at(-1), { why: 'connection lost', code: 1006, delayMs: 5 });
  there.add({ type: 'text', turn: 1, block: 0, text: 'one two three' });
  there.end(1);
  const after = await readTo(session, 'turn:end');
  const all = [...before, ...lost, ...after];
  t.strictSame(seqsOf(all), [1, 2, 3, 4]);
  t.equal(textOf(all), 'one two three');
  t.match(server.attaches[1], { session: session.id, after: '2' });
});

t.test('whoever asks for a connection does not wait for the countdown', async (t) => {
  const server = await serverFor(t);
  const session = openAt(t, server, { backoffMs: () => 3_600_000 });
  await readTo(session, 'connection:live');
  session.reconnect();
  await readTo(session, 'connection:reconnecting');
  session.reconnect();
  await readTo(session, 'connection:live');
  t.equal(server.attaches.length, 2);
});

t.test('a listener gets what nobody has read yet, and then every event as it comes', async (t) => {
  const server = await serverFor(t);
  const session = openAt(t, server);
  await session.send('hello');
  const seen: SessionEvent[] = [];
  const ended = new Promise<void>((resolve) => {
    session.on((event) => {
      seen.push(event);
      if (event.type === 'turn:end') resolve();
    });
  });
  await ended;
  t.strictSame(seqsOf(seen), [1, 2, 3, 4]);
  t.equal(seen[0]?.type, 'connection:live');
});

t.test('a reader that is slower than its queue pauses the connection, and loses nothing', async (t) => {
  const long = 'x'.repeat(1_000);
  const server = await serverFor(t, {
    onMessage: (session, turn) => {
      for (let block = 0; block < 20; block++) session.add({ type: 'text', turn, block, text: long });
      session.end(turn);
    },
  });
  const session = openAt(t, server, { maxQueuedChars: 5_000 });
  await session.send('much');
  while (session.state !== 'paused') await once(server, 'detach', { signal: AbortSignal.timeout(WAIT_MS) });
  const seen = await readTo(session, 'turn:end');
  t.strictSame(
    seqsOf(seen),
    Array.from({ length: 23 }, (_, index) => index + 1),
  );
  t.equal(textOf(seen).length, 20_000);
  t.ok(server.attaches.length > 1, 'it went away and came back');
});

t.test('pieces of one text that wait together become one', async (t) => {
  const server = await serverFor(t, {
    onMessage: (session, turn) => {
      for (let at = 0; at < 100; at++) session.stream({ type: 'text:delta', turn, block: 0, offset: at, text: 'x' });
      session.add({ type: 'text', turn, block: 0, text: 'x'.repeat(100) });
      session.end(turn);
    },
  });
  const session = openAt(t, server);
  await session.send('go');
  while (session.busy) await new Promise(setImmediate);
  const seen = await readTo(session, 'turn:end');
  t.equal(textOf(seen), 'x'.repeat(100));
  t.ok(seen.filter(({ type }) => type === 'text:delta').length < 100);
});

t.test('a message is sent again until it is accepted, with one id', async (t) => {
  const server = await serverFor(t);
  server.swallow = 2;
  const session = openAt(t, server);
  const accepted = session.send('hello');
  for (let cuts = 0; cuts < 2; cuts++) {
    await once(server, 'frame', { signal: AbortSignal.timeout(WAIT_MS) });
    server.cut();
  }
  const { id } = await accepted;
  t.strictSame(
    server.frames.map((frame) => frame.id),
    [id, id, id],
  );
});

t.test('what the server refuses for the moment is sent again, what it refuses for good is told', async (t) => {
  const codes = ['ERR_UNAVAILABLE', 'ERR_DRAINING', 'ERR_BAD_FRAME'];
  const server = await serverFor(t, {
    onMessage: (session, turn) => askApproval(session, turn, 'call-1'),
    onFrame: (session, { id }) => session.sendRaw({ type: 'error', id, code: codes.shift(), message: 'no' }),
  });
  const session = openAt(t, server);
  await session.send('run it');
  const seen: SessionEvent[] = [];
  session.on((event) => seen.push(event));
  await t.rejects(session.approve('call-1'), { name: 'ClientError', code: 'ERR_BAD_FRAME', message: 'no' });
  t.equal(server.frames.filter(({ type }) => type === 'tool:approval').length, 3);
  t.strictSame(
    seen.flatMap((event) => (event.type === 'error' ? [event.code] : [])),
    ['ERR_BAD_FRAME'],
  );
  t.equal(session.pending.length, 1, 'it is open again');
});

t.test('a frame that the server did not read is sent again when there is room', async (t) => {
  const server = await serverFor(t);
  server.swallow = 1;
  const session = openAt(t, server);
  await readTo(session, 'session:ready');
  const accepted = session.send('hello');
  await once(server, 'frame');
  onlySession(server).sendRaw({ type: 'error', code: 'ERR_TOO_MANY_REQUESTS', message: 'bytes', retryAfterMs: 5 });
  t.match(await accepted, { turn: 1 });
});

t.test('an approval resolves with what became of the call, and a call that is gone rejects', async (t) => {
  const server = await serverFor(t, {
    onMessage: (session, turn) => {
      askApproval(session, turn, 'call-1', { position: 1, total: 2 });
      askApproval(session, turn, 'call-2', { position: 2, total: 2 });
    },
    onFrame: (session, frame) => {
      if (frame.type !== 'tool:approval' || frame.callId !== 'call-1') return;
      session.add({ type: 'tool:denied', callId: 'call-1', by: 'user', reason: frame.reason ?? '' });
      session.end(1, { stopReason: 'cancelled' });
    },
  });
  const session = openAt(t, server);
  await session.send('run both');
  await readTo(session, 'tool:approval_required');
  const second = session.approve('call-2');
  t.match(await session.deny('call-1', 'not here'), { type: 'tool:denied', reason: 'not here' });
  await t.rejects(second, { code: 'ERR_CALL_NOT_PENDING' });
  t.strictSame(session.pending, []);
});

t.test('what is answered while an earlier turn is still replayed reaches the server', async (t) => {
  const server = await serverFor(t, {
    onMessage: (session, turn) => (turn === 1 ? answer(session, turn, 'one') : askApproval(session, turn, 'call-2')),
  });
  const first = openAt(t, server);
  await first.send('one');
  await first.send('two');
  const later = openAt(t, server, { session: first.id, after: 0 });
  const seen: SessionEvent[] = [];
  later.on((event) => {
    seen.push(event);
    // At `session:ready`, before the replay has told the end of turn 1.
    for (const item of later.pending) if (item.kind === 'approval') void later.deny(item.callId);
  });
  await once(server, 'frame', { signal: AbortSignal.timeout(WAIT_MS) });
  t.match(server.frames.at(-1), { type: 'tool:approval', callId: 'call-2', approved: false });
  t.strictSame(later.pending, [], 'it is answered');
  t.equal(seqsOf(seen).length, 7);
});

t.test('what cannot be sent at all is thrown at once', async (t) => {
  const server = await serverFor(t, { maxFrameBytes: 200 });
  const session = openAt(t, server);
  const early = session.send('x'.repeat(500));
  await t.rejects(early, { code: 'ERR_TOO_LARGE' }, 'the limit was not known yet');
  t.throws(() => session.send('x'.repeat(500)), { code: 'ERR_TOO_LARGE' });
  t.throws(() => session.send('ž'.repeat(100)), { code: 'ERR_TOO_LARGE' }, 'bytes count');
  for (let count = 0; count < 100; count++) void session.send('hello');
  t.throws(() => session.send('hello'), { code: 'ERR_TOO_MANY_REQUESTS' });
});

t.test('close ends the loop, rejects what has no answer, and is no error', async (t) => {
  const server = await serverFor(t);
  server.swallow = 1;
  const session = openAt(t, server);
  await readTo(session, 'session:ready');
  const unanswered = session.send('hello');
  const loop = readTo(session, 'connection:closed');
  const closed = session.close();
  await t.rejects(unanswered, { code: 'ERR_CLOSED' });
  await t.rejects(loop, /did not come/, 'the loop ends without an error of the session');
  await closed;
  t.equal(session.state, 'closed');
  t.throws(() => session.send('late'), { code: 'ERR_CLOSED' });
});

t.test('a session that the server refuses ends the loop with the code', async (t) => {
  const server = await serverFor(t);
  for (const [code, expected] of [
    [4400, 'ERR_BAD_FRAME'],
    [4401, 'ERR_UNAUTHORIZED'],
    [4403, 'ERR_BLOCKED'],
    [4404, 'ERR_NO_SUCH_SESSION'],
    [4405, 'ERR_CLOSED'],
  ] as const) {
    server.refuseWith = code;
    const before = server.attaches.length;
    await t.rejects(readTo(openAt(t, server), 'session:ready'), { name: 'ClientError', code: expected }, expected);
    t.equal(server.attaches.length, before + 1, 'it is not tried again');
  }
  const elsewhere = new Fairlead({ url: `${server.url}/elsewhere` }).open({ backoffMs: () => 5 });
  await t.rejects(readTo(elsewhere, 'session:ready'), { code: 'ERR_NOT_FOUND', status: 400 });
});

t.test('a server that stays away ends it once its time is over', async (t) => {
  const server = await serverFor(t);
  const session = openAt(t, server, { giveUpAfterMs: 0 });
  await readTo(session, 'session:ready');
  await server.close();
  await t.rejects(readTo(session, 'turn:end'), { code: 'ERR_UNAVAILABLE' });
});

t.test('a server that says nothing any more is taken for dead, and found again', async (t) => {
  let mute = false;
  const server = await serverFor(t, {
    onFrame: (session, { type }) => {
      if (type === 'ping' && !mute) session.sendRaw({ type: 'pong' });
    },
  });
  const session = openAt(t, server, { silenceMs: 20, answerMs: 400 });
  await readTo(session, 'session:ready');
  await once(server, 'frame', { signal: AbortSignal.timeout(WAIT_MS) });
  t.equal(session.state, 'live');
  mute = true;
  const seen = await readTo(session, 'connection:reconnecting');
  t.match(seen.at(-1), { why: 'no answer to a ping' });
  await readTo(session, 'session:ready');
});

t.test('a newer token is asked for before the old one ends, and handed on', async (t) => {
  const tokens = ['flt_1', 'flt_2', 'flt_3'];
  const server = await serverFor(t, {
    expiresInMs: 1_250,
    onFrame: (session, frame) => {
      if (frame.type !== 'auth:refresh') return;
      session.sendRaw({ type: 'auth:refreshed', id: frame.id, role: 'user', expiresAt: Date.now() + 1_250 });
    },
  });
  const session = openAt(t, server, { token: () => tokens.shift() ?? 'flt_last' });
  await readTo(session, 'auth:refreshed');
  await readTo(session, 'auth:refreshed');
  t.match(server.frames.slice(0, 2), [
    { type: 'auth:refresh', token: 'flt_2' },
    { type: 'auth:refresh', token: 'flt_3' },
  ]);
  t.equal(server.attaches.length, 1, 'on the same socket');
});

t.test('a token that has ended is asked for once more, and the second refusal counts', async (t) => {
  const asked: boolean[] = [];
  const server = await serverFor(t, { token: 'flt_new' });
  const token = ({ refused }: { refused: boolean }): string => {
    asked.push(refused);
    return refused ? 'flt_new' : 'flt_old';
  };
  await readTo(openAt(t, server, { token }), 'session:ready');
  t.strictSame(asked, [false, true]);
  const never = openAt(t, server, { token: async () => 'flt_old' });
  await t.rejects(readTo(never, 'session:ready'), { code: 'ERR_UNAUTHORIZED' });
});

t.test('a token that cannot be had now is asked for again', async (t) => {
  const server = await serverFor(t);
  let tries = 0;
  const token = (): string => {
    if (++tries < 3) throw new Error('the issuer is away');
    return 'flt_x';
  };
  const seen = await readTo(openAt(t, server, { token }), 'session:ready');
  t.equal(seen.filter(({ type }) => type === 'connection:reconnecting').length, 2);
  t.match(seen[0], { why: 'the issuer is away', code: 0 });
});

t.test('who comes later with session and seq gets the rest', async (t) => {
  const server = await serverFor(t);
  const first = openAt(t, server);
  void first.send('one');
  const seen = await readTo(first, 'turn:start');
  const place = { session: first.id, after: seqsOf(seen).at(-1) };
  await first.close();
  const rest = await readTo(openAt(t, server, place), 'turn:end');
  t.strictSame(seqsOf([...seen, ...rest]), [1, 2, 3, 4]);
});

t.test('where the log no longer reaches back the transcript comes, and the position moves', async (t) => {
  const server = await serverFor(t);
  const session = openAt(t, server);
  await session.send('hello');
  await readTo(session, 'turn:end');
  server.cut();
  await readTo(session, 'connection:reconnecting');
  const there = onlySession(server);
  answer(there, 2, 'long ago');
  there.log.splice(0, 6);
  const events = await readTo(session, 'session:ready');
  const ready = events.at(-1) as Extract<ServerEvent, { type: 'session:ready' }>;
  t.equal(ready.reset, true);
  t.equal(session.seq, there.seq);
  t.equal(session.busy, false);
});

t.test('an address that is none is refused', (t) => {
  for (const url of ['', 'example.org', 'ftp://example.org', 'https://a:b@example.org', 'https://example.org/?x=1']) {
    t.throws(() => new Fairlead({ url }), { code: 'ERR_CONFIG' }, url);
  }
  t.ok(new ClientError('ERR_CONFIG', 'x') instanceof Error);
  t.end();
});
