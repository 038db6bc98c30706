/** Real clients of Socket.IO against a real front. */
import t, { type Test } from 'tap';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { startFront, type Fixture, type FixtureOptions } from '../front/front-fixture.js';

// A machine that does other work takes its time; nothing here waits for it.
t.setTimeout(300_000);

type Data = Record<string, unknown>;
type Events = [name: string, data: Data][];
type Options = Partial<ManagerOptions & SocketOptions>;

interface Client {
  socket: Socket;
  events: Events;
  /** The first event of that name, here already or yet to come, that has these fields. */
  waitFor(name: string, fields?: Data): Promise<Data>;
}

async function start(t: Test, options: FixtureOptions = {}): Promise<Fixture> {
  const fixture = await startFront({ ...options, listen: { socketIo: true, ...options.listen } });
  t.teardown(() => fixture.close());
  return fixture;
}

function open(t: Test, url: string, options: Options = {}): Client {
  const socket = io(url, { forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 50, ...options });
  t.teardown(() => socket.disconnect());
  const events: Events = [];
  const watchers = new Set<() => void>();
  socket.onAny((name: string, data: Data) => {
    events.push([name, data]);
    for (const look of watchers) look();
  });
  const waitFor = (name: string, fields: Data = {}): Promise<Data> =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = events.find(
          ([event, data]) => event === name && Object.entries(fields).every(([key, value]) => data[key] === value),
        );
        if (!found) return;
        watchers.delete(look);
        resolve(found[1]);
      };
      watchers.add(look);
      look();
    });
  return { socket, events, waitFor };
}

/** The first event of that name, with its arguments. */
function once(emitter: object, name: string): Promise<unknown[]> {
  const of = emitter as { once(name: string, listener: (...args: unknown[]) => void): void };
  return new Promise((resolve) => of.once(name, (...args) => resolve(args)));
}

const CARRIERS = [['websocket'], ['polling'], ['polling', 'websocket']];

for (const transports of CARRIERS) {
  t.test(`a client that comes by ${transports.join(', then ')} talks to its agent`, async (t) => {
    const { url, agent } = await start(t);
    const client = open(t, url, { transports });
    const ready = await client.waitFor('system:ready');
    t.match(ready, { resumed: false, sessionId: ready['session'], user: 'local', model: 'test-model' });
    client.socket.emit('message', 'List all files');
    t.match(await client.waitFor('turn:end'), { turn: 1, stopReason: 'end_turn' });
    const names = client.events.map(([name]) => name);
    t.strictSame(names, ['system:ready', 'message:accepted', 'agent:thinking', 'agent:response', 'turn:end']);
    t.match(await client.waitFor('agent:response'), { turn: 1, block: 0, text: 'hello' });
    t.match(await agent.asked('submit-message'), { content: [{ type: 'text', text: 'List all files' }] });
  });
}

t.test('a client that begins to poll goes on by WebSocket, and loses nothing', async (t) => {
  const { url } = await start(t);
  const client = open(t, url);
  await client.waitFor('system:ready');
  const { engine } = client.socket.io;
  if (engine.transport.name !== 'websocket') await new Promise((resolve) => engine.once('upgrade', resolve));
  for (let n = 1; n <= 3; n++) {
    client.socket.emit('message', { text: `number ${n}` });
    await client.waitFor('turn:end', { turn: n });
  }
  t.equal(engine.transport.name, 'websocket');
});

t.test('approvals, the reset and every other frame have their own names, and what fails is told', async (t) => {
  const { url, agent } = await start(t);
  const client = open(t, url, { transports: ['websocket'] });
  const { session } = await client.waitFor('system:ready');
  client.socket.emit('tool:approval', { id: 'a1', callId: 'c1', approved: true });
  t.match(await client.waitFor('agent:error', { id: 'a1' }), { code: 'ERR_CALL_NOT_PENDING' });
  t.match(await agent.asked('answer-approval'), { session, callId: 'c1', approved: true });
  client.socket.emit('history:reset');
  await client.waitFor('history:cleared');
  client.socket.emit('turn:cancel', {});
  await agent.asked('cancel-turn');
  client.socket.emit('ping', { id: 'p1' });
  await client.waitFor('pong', { id: 'p1' });
  client.socket.emit('nonsense', { id: 'n1' });
  t.match(await client.waitFor('agent:error', { id: 'n1' }), { code: 'ERR_BAD_FRAME' });
  client.socket.emit('message', 'one', 'two');
  t.match(await client.waitFor('agent:error', { message: 'more: no such field here' }), { code: 'ERR_BAD_FRAME' });
});

t.test('what a tool gives comes as tool:output, and what a turn has failed of as agent:error', async (t) => {
  const { url, agent } = await start(t);
  const client = open(t, url, { transports: ['websocket'] });
  const session = String((await client.waitFor('system:ready'))['session']);
  const call = { callId: 'c1', name: 'list_files', server: 'workspace', args: {} };
  agent.emit(session, { type: 'tool:approval_required', turn: 1, ...call, position: 1, total: 1, expiresAt: 1 });
  agent.stream(session, { type: 'tool:output', callId: 'c1', stream: 'stdout', offset: 0, text: 'a' });
  const content = [
    { type: 'text' as const, text: 'a' },
    { type: 'text' as const, text: 'b' },
  ];
  agent.emit(
    session,
    { type: 'tool:result', callId: 'c1', ok: true, content, ms: 1 },
    {
      type: 'turn:end',
      turn: 1,
      stopReason: 'error',
      usage: { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 },
      ms: 1,
      model: 'm',
      error: { code: 'ERR_MODEL', message: 'the model is away' },
    },
  );
  await client.waitFor('turn:end');
  t.match(await client.waitFor('tool:approval_required'), call);
  t.match(await client.waitFor('tool:output', { stream: 'stdout' }), { callId: 'c1', text: 'a' });
  t.match(await client.waitFor('tool:output', { ok: true }), { callId: 'c1', text: 'a\nb', content });
  t.match(await client.waitFor('agent:error'), { turn: 1, code: 'ERR_MODEL', message: 'the model is away' });
});

t.test('an acknowledgement of a message says that it was accepted, or why it was not', async (t) => {
  const { url, agent } = await start(t);
  const client = open(t, url, { transports: ['websocket'] });
  const ask = (body: unknown): Promise<unknown> => client.socket.timeout(30_000).emitWithAck('message', body);
  t.strictSame(await ask('hi'), { ok: true, turn: 1 });
  t.strictSame(await ask({ id: 'm1', text: 'hi' }), { ok: true, turn: 2 });
  t.match(await ask({ id: 'm2' }), { ok: false, code: 'ERR_BAD_FRAME' });
  await client.socket.timeout(30_000).emitWithAck('turn:cancel', {});
  t.equal(agent.calls.filter(({ name }) => name === 'submit-message').length, 2);
});

t.test('a cut client comes back by itself to its session, with all that it has missed, once', async (t) => {
  for (const transports of [['websocket'], ['polling']]) {
    const { url, agent } = await start(t);
    const client = open(t, url, { transports });
    const session = String((await client.waitFor('system:ready'))['session']);
    client.socket.emit('message', 'hi');
    await client.waitFor('turn:end', { turn: 1 });
    const gone = once(client.socket.io, 'close');
    client.socket.io.engine.close();
    await gone;
    agent.emit(session, { type: 'text', turn: 2, block: 0, text: 'said meanwhile' });
    if (!client.socket.connected) client.socket.connect();
    await client.waitFor('agent:response', { text: 'said meanwhile' });
    const ready = await client.waitFor('system:ready', { resumed: true });
    t.equal(ready['session'], session);
    const seqs = client.events.flatMap(([name, { seq }]) =>
      name === 'system:ready' || seq === undefined ? [] : [seq],
    );
    t.strictSame(seqs, [...new Set(seqs)]);
    t.equal(agent.sessions.size, 1);
  }
});

t.test('a client that has got no event yet goes on from where it came', async (t) => {
  const { url, agent } = await start(t);
  const client = open(t, url, { transports: ['websocket'] });
  const session = String((await client.waitFor('system:ready'))['session']);
  const gone = once(client.socket.io, 'close');
  client.socket.io.engine.close();
  await gone;
  agent.emit(session, { type: 'text', turn: 1, block: 0, text: 'said meanwhile' });
  if (!client.socket.connected) client.socket.connect();
  await client.waitFor('agent:response', { text: 'said meanwhile' });
  t.pass('it has come');
});

t.test('a session is resumed by its id, in auth or as the query of old clients has it', async (t) => {
  const { url, agent } = await start(t);
  const session = agent.make('an-old-session');
  agent.emit(session, { type: 'text', turn: 1, block: 0, text: 'the past' });
  for (const options of [{ auth: { session, after: 0 } }, { query: { sessionId: session, after: '0' } }]) {
    const client = open(t, url, { transports: ['websocket'], ...options });
    t.match(await client.waitFor('system:ready'), { session, resumed: true });
    t.match(await client.waitFor('agent:response'), { text: 'the past' });
  }
});

t.test('credentials are judged as those of the raw socket', async (t) => {
  const tokens = { ada: 'a-token', bob: 'b-token' };
  const { url, agent, front } = await start(t, { tokens });
  const session = agent.make('ada-session', 'ada');
  const transports = ['websocket'];
  const refused = async (options: Options): Promise<Data> => {
    const { socket } = open(t, url, { transports, ...options });
    const [error] = (await once(socket, 'connect_error')) as [Error & { data: Data }];
    return { message: error.message, ...error.data };
  };
  t.match(await refused({}), { code: 'ERR_UNAUTHORIZED', close: 4401 });
  t.match(await refused({ auth: { token: 'wrong' } }), { code: 'ERR_UNAUTHORIZED' });
  t.match(await refused({ query: { token: 'a-token' } }), { code: 'ERR_UNAUTHORIZED' }, 'not in an address');
  t.match(await refused({ auth: { token: 'b-token', session } }), { code: 'ERR_NO_SUCH_SESSION', close: 4404 });
  t.match(await refused({ auth: { token: 'a-token', session, after: 'x' } }), { code: 'ERR_BAD_FRAME', close: 4400 });
  const byAuth = open(t, url, { transports, auth: { token: 'a-token', session } });
  t.match(await byAuth.waitFor('system:ready'), { user: 'ada', session });
  const byHeader = open(t, url, { transports: ['polling'], extraHeaders: { authorization: 'Bearer b-token' } });
  t.match(await byHeader.waitFor('system:ready'), { user: 'bob' });
  const left = once(byAuth.socket, 'disconnect');
  front.endCredentials(({ user }) => user === 'ada', 4401, 'the token was revoked');
  t.match(await byAuth.waitFor('agent:error'), { code: 'ERR_UNAUTHORIZED', message: 'the token was revoked' });
  t.strictSame((await left)[0], 'io server disconnect', 'it does not come back by itself');
});

t.test('a client of Socket.IO counts among the connections of its user', async (t) => {
  const { url, front } = await start(t, { limits: { maxSocketsPerUser: 1 } });
  const first = open(t, url, { transports: ['websocket'] });
  await first.waitFor('system:ready');
  const second = open(t, url, { transports: ['websocket'] });
  second.socket.io.once('reconnect_attempt', () => first.socket.disconnect());
  await second.waitFor('system:ready');
  t.equal(front.counts().connections, 1);
});

t.test('a drain cuts clients, who come back by themselves', async (t) => {
  const { url, front } = await start(t);
  const client = open(t, url, { transports: ['websocket'] });
  await client.waitFor('system:ready');
  const left = once(client.socket, 'disconnect');
  front.closeResting(() => false);
  t.match(await client.waitFor('agent:error'), { code: 'ERR_DRAINING', close: 1001 });
  t.equal((await left)[0], 'transport close');
  await client.waitFor('system:ready', { resumed: true });
  t.pass('it is back');
});

t.test('it is off unless it is configured', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  t.equal((await fetch(`${fixture.url}/socket.io/?EIO=4&transport=polling`)).status, 404);
});
