import { once } from 'node:events';
import t from 'tap';
import { WebSocket } from 'ws';
import { connect, UpgradeRefused } from '../../helpers/ws-client.js';
import { connectTcp, otherPort, startFront } from './front-fixture.js';

t.test('a new socket gets a new session, and session:ready first', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const client = await connect(fixture.url);
  t.teardown(() => client.terminate());
  const ready = await client.ready;
  t.match(ready.session, /^[\w-]{22,}$/);
  t.equal(ready.resumed, false);
  t.equal(client.socket.protocol, 'fairlead.v1');
  const end = await client.ask('hi');
  t.equal(end.stopReason, 'end_turn');
  t.equal(client.text(end.turn), 'hello');
  t.strictSame(client.gaps(), []);
});

/** Of everybody with the mode none. */
const WHO = { role: 'admin', groups: [], credential: 'local', address: '127.0.0.1' };

t.test(
  'every frame of the contract reaches the agent with its fields, and its failure comes back with its id',
  async (t) => {
    const fixture = await startFront();
    t.teardown(() => fixture.close());
    const client = await connect(fixture.url);
    t.teardown(() => client.terminate());
    const { session } = await client.ready;
    const of = { user: 'local', session };
    client.send({ type: 'tool:approval', id: 'a1', callId: 'c1', approved: false, reason: 'no' });
    t.match(await client.waitFor('error'), { id: 'a1', code: 'ERR_CALL_NOT_PENDING' });
    t.strictSame(await fixture.agent.asked('answer-approval'), {
      ...of,
      who: WHO,
      callId: 'c1',
      approved: false,
      reason: 'no',
    });
    client.send({ type: 'elicitation:reply', id: 'e1', requestId: 'r1', action: 'accept', content: { a: 1 } });
    t.match(await client.waitFor('error'), { id: 'e1', code: 'ERR_CALL_NOT_PENDING' });
    t.strictSame(await fixture.agent.asked('answer-elicitation'), {
      ...of,
      who: WHO,
      requestId: 'r1',
      action: 'accept',
      content: { a: 1 },
    });
    client.send({ type: 'turn:cancel' });
    t.strictSame(await fixture.agent.asked('cancel-turn'), { ...of, who: WHO });
    client.send({ type: 'history:reset' });
    await client.waitFor('history:cleared');
    client.send({ type: 'ping', id: 'p1' });
    t.strictSame(await client.waitFor('pong'), { type: 'pong', id: 'p1' });
    client.send({ type: 'ping' });
    t.strictSame(await client.waitFor('pong'), { type: 'pong' });
  },
);

t.test('an unexpected fault of the agent is ERR_INTERNAL without its text', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  fixture.agent.overrides.set('cancel-turn', () => {
    throw new Error('a secret of the inside');
  });
  const client = await connect(fixture.url);
  t.teardown(() => client.terminate());
  await client.ready;
  client.send({ type: 'turn:cancel', id: 'x' });
  const error = await client.waitFor('error');
  const { requestId } = error;
  t.strictSame(error, { type: 'error', code: 'ERR_INTERNAL', message: 'internal error', id: 'x', requestId });
});

t.test('the replay after `after` comes before what is live, without a gap', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-order');
  for (let turn = 1; turn <= 5; turn++) agent.emit(session, { type: 'turn:start', turn });
  // The agent answers, and sends on at once: both are in the port before the front reads either.
  const original = agent.sessions.get(session)!;
  agent.overrides.set('attach', ({ after }) => {
    const frames = [
      {
        seq: 0,
        json: JSON.stringify({ type: 'session:ready', session, seq: original.seq, resumed: true, pending: [] }),
      },
      ...original.log.filter(({ seq }) => seq > (after as number)),
    ];
    setImmediate(() => {
      for (let turn = 6; turn <= 9; turn++) agent.emit(session, { type: 'turn:start', turn });
    });
    return { frames };
  });
  const client = await connect(fixture.url, { session, after: 2 });
  t.teardown(() => client.terminate());
  await client.waitFor((event) => event.type === 'turn:start' && event.turn === 9);
  t.strictSame(
    client.events.map((event) => ('seq' in event && event.type !== 'session:ready' ? event.seq : event.type)),
    ['session:ready', 3, 4, 5, 6, 7, 8, 9],
  );
  t.strictSame(client.gaps(), []);
});

t.test('several sockets of one session get every event, and the last one that leaves empties it', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-tabs');
  const first = await connect(fixture.url, { session });
  t.teardown(() => first.terminate());
  const second = await connect(fixture.url, { session });
  t.teardown(() => second.terminate());
  await Promise.all([first.ready, second.ready]);
  t.strictSame(fixture.front.counts(), { connections: 2, sessions: 1 });
  const end = await first.ask('hi');
  await second.turnEnd(end.turn);
  t.strictSame(second.gaps(), []);
  await first.close();
  await second.close();
  t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
});

t.test('frames sent before session:ready wait and are answered in order', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-early');
  let release: (() => void) | undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  fixture.agent.overrides.set('attach', async () => {
    await held;
    return { frames: [{ seq: 0, json: JSON.stringify({ type: 'session:ready', session, seq: 0, pending: [] }) }] };
  });
  const client = await connect(fixture.url, { session });
  t.teardown(() => client.terminate());
  for (const id of ['1', '2', '3']) client.send({ type: 'ping', id });
  await fixture.agent.asked('attach');
  release!();
  await client.waitFor((event) => event.type === 'pong' && event.id === '3');
  t.strictSame(
    client.events.map((event) => (event.type === 'pong' ? event.id : event.type)),
    ['session:ready', '1', '2', '3'],
  );
});

t.test('a port in use is ERR_START in plain words', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { createFront } = await import('../../../src/boot/front.js');
  const { ENGINE_STATUS, testConfig, testDesk } = await import('./front-fixture.js');
  const { default: pino } = await import('pino');
  const config = testConfig();
  const agents = { request: () => Promise.reject(new Error('unused')) };
  const second = createFront({
    config: { ...config, listen: { ...config.listen, port: fixture.port } },
    auth: config.auth,
    agents,
    desk: testDesk(agents, () => 0),
    log: pino({ level: 'silent' }),
    readiness: () => ({ ready: true, reasons: [] }),
    metrics: async () => '',
    status: async () => ENGINE_STATUS,
    mcp: { health: async () => [], refresh: () => undefined },
    pins: { read: async () => ({ tools: {} }), pin: async () => ({ tools: {} }), unpin: async () => ({ tools: {} }) },
    forgetLogin: async () => undefined,
  });
  t.teardown(() => second.close());
  await t.rejects(second.listen(), { code: 'ERR_START', message: /in use/ });
});

t.test('a socket that leaves while its attach is under way is not subscribed', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-left');
  let answer: (() => void) | undefined;
  fixture.agent.overrides.set('attach', async () => {
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return { frames: [] };
  });
  const client = await connect(fixture.url, { session });
  await fixture.agent.asked('attach');
  await client.close();
  answer!();
  await fetch(`${fixture.url}/v1/sessions/${session}`);
  t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
});

t.test('an upgrade refused for its Origin is 403, and what is no upgrade is 426', async (t) => {
  const fixture = await startFront({ origins: ['https://app.example'] });
  t.teardown(() => fixture.close());
  for (const origin of ['https://evil.example', 'null', otherPort(fixture)]) {
    const error = await connect(fixture.url, { origin }).catch((thrown: unknown) => thrown);
    t.ok(error instanceof UpgradeRefused && error.status === 403, origin);
  }
  for (const origin of ['https://app.example', fixture.url]) {
    const client = await connect(fixture.url, { origin });
    await client.ready;
    await client.close();
  }
  const plain = await fetch(`${fixture.url}/v1/ws`);
  t.equal(plain.status, 426);
  t.match(await plain.json(), { code: 'ERR_UPGRADE_REQUIRED', status: 426 });
  t.equal(plain.headers.get('content-type'), 'application/problem+json');
});

t.test('credentials: header or subprotocol, never the URL', async (t) => {
  const fixture = await startFront({ tokens: { ann: 'token-a', bob: 'token-b' } });
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-ann', 'ann');
  for (const options of [{ token: 'token-a' }, { token: 'token-a', browser: true }]) {
    const client = await connect(fixture.url, { session, ...options });
    await client.ready;
    t.equal(client.socket.protocol, 'fairlead.v1', 'the token is not echoed');
    await client.close();
  }
  t.equal((await (await connect(fixture.url, { session })).closed).code, 4401, 'none');
  t.equal((await (await connect(fixture.url, { session, token: 'wrong' })).closed).code, 4401, 'bad');
  t.equal((await (await connect(fixture.url, { session, token: 'token-b' })).closed).code, 4404, 'not the owner');
  const raw = connectTcp(fixture.port, '127.0.0.1');
  t.teardown(() => raw.destroy());
  raw.write(
    `GET /v1/ws?session=${session} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: bearer.token-a\r\n\r\n',
  );
  let answer = '';
  while (!answer.includes('session:ready')) answer += String((await once(raw, 'data'))[0]);
  t.match(answer, /^HTTP\/1.1 101 /);
  t.notMatch(answer, /sec-websocket-protocol/i, 'offered alone it works where a client accepts no answer');
  const inUrl = new WebSocket(`${fixture.url.replace('http', 'ws')}/v1/ws?token=token-a`);
  const [code] = (await once(inUrl, 'close')) as [number];
  t.equal(code, 4401, 'a token in the URL counts for nothing');
});
