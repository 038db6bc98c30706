import { once } from 'node:events';
import type { Socket } from 'node:net';
import t from 'tap';
import type { Test } from 'tap';
import { connect } from '../../helpers/ws-client.js';
import { connectTcp, type Fixture, startFront } from './front-fixture.js';

const KB = 'x'.repeat(1024);

/** More than kernel buffers on both sides of a loopback connection take. */
const FLOOD = 24;

/** Streams 1 MiB at a time until the events have passed the front: a request that follows them comes back. */
async function flood(fixture: Fixture, session: string, mebibytes = FLOOD): Promise<number> {
  let offset = 0;
  for (let count = 0; count < mebibytes; count++) {
    for (let part = 0; part < 16; part++) {
      const text = KB.repeat(64);
      fixture.agent.stream(session, { type: 'text:delta', turn: 1, block: 0, offset, text });
      offset += text.length;
    }
    await (await fetch(`${fixture.url}/v1/sessions/${session}`)).text();
  }
  return offset;
}

t.test(
  'a slow reader skips streaming events, gets the durable ones, and catches up; a fast one misses nothing',
  async (t) => {
    const fixture = await startFront();
    t.teardown(() => fixture.close());
    const { agent } = fixture;
    const session = agent.make('s-slow');
    const fast = await connect(fixture.url, { session, after: 0 });
    t.teardown(() => fast.terminate());
    const slow = await connect(fixture.url, { session, after: 0 });
    t.teardown(() => slow.terminate());
    await Promise.all([fast.ready, slow.ready]);
    slow.pause();
    const length = await flood(fixture, session);
    agent.emit(session, { type: 'turn:start', turn: 1 });
    await fast.waitFor('turn:start');
    t.equal(fast.text(1).length, length, 'the fast one has all of it');

    const live = { type: 'text:delta' as const, turn: 1, block: 0, offset: 0, text: KB.repeat(length / 1024) };
    agent.sessions.get(session)!.live.push(live);
    slow.resume();
    const caught = await slow.waitFor((event) => event.type === 'text:delta' && event.text.length === length);
    t.match(caught, { offset: 0 });
    const start = slow.events.find((event) => event.type === 'turn:start');
    t.match(start, { seq: 1 }, 'the durable event was not skipped');
    const deltas = slow.events.filter((event) => event.type === 'text:delta').length;
    t.ok(deltas < FLOOD * 16, `some were skipped: ${deltas} came`);
    agent.stream(session, { type: 'text:delta', turn: 1, block: 0, offset: length, text: 'end' });
    await slow.waitFor((event) => event.type === 'text:delta' && event.text === 'end');
  },
);

t.test('a reader with more than maxUnsentBytes of durable events is cut; the fast one goes on', async (t) => {
  const fixture = await startFront({ limits: { maxUnsentBytes: 256 * 1024 } });
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-cut');
  const fast = await connect(fixture.url, { session, after: 0 });
  t.teardown(() => fast.terminate());
  const slow = await connect(fixture.url, { session, after: 0 });
  t.teardown(() => slow.terminate());
  await Promise.all([fast.ready, slow.ready]);
  slow.pause();
  for (let block = 0; block < 200 && fixture.front.counts().connections === 2; block++) {
    agent.emit(session, { type: 'text', turn: 1, block, text: KB.repeat(128) });
    await (await fetch(`${fixture.url}/v1/sessions/${session}`)).text();
  }
  t.equal(fixture.front.counts().connections, 1);
  slow.resume();
  t.match([1006, 4429].includes((await slow.closed).code), true);
  await fast.waitFor((event) => 'seq' in event && event.seq === agent.sessions.get(session)!.seq);
  t.strictSame(fast.gaps(), []);
});

t.test('a replay longer than maxUnsentBytes arrives whole, and what comes meanwhile after it', async (t) => {
  const fixture = await startFront({ limits: { maxUnsentBytes: 256 * 1024 } });
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-long');
  for (let block = 0; block < 128; block++) agent.emit(session, { type: 'text', turn: 1, block, text: KB.repeat(128) });
  const client = await connect(fixture.url, { session, after: 0 });
  t.teardown(() => client.terminate());
  await client.ready;
  agent.emit(session, { type: 'turn:start', turn: 2 });
  await client.waitFor('turn:start');
  t.equal(client.lastSeq, 129);
  t.strictSame(client.gaps(), []);
});

t.test('an SSE reader that is slow skips streaming events and catches up', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-sse');
  const { socket, text } = await rawEvents(t, fixture, session);
  socket.pause();
  const length = await flood(fixture, session);
  agent.emit(session, { type: 'turn:start', turn: 1 });
  agent.sessions.get(session)!.live.push({ type: 'thinking:delta', turn: 1, block: 1, offset: 0, text: 'caught up' });
  await (await fetch(`${fixture.url}/v1/sessions/${session}`)).text();
  socket.resume();
  while (!text().includes('caught up')) await once(socket, 'data');
  t.match(text(), /id: 1\nevent: turn:start\n/);
  t.ok(text().length < length, `${text().length} bytes of ${length} came`);
});

t.test('an SSE reader with too many unsent durable events is cut', async (t) => {
  const fixture = await startFront({ limits: { maxUnsentBytes: 256 * 1024 } });
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-ssecut');
  const { socket } = await rawEvents(t, fixture, session);
  socket.pause();
  for (let block = 0; block < 200 && fixture.front.counts().connections === 1; block++) {
    agent.emit(session, { type: 'text', turn: 1, block, text: KB.repeat(128) });
    await (await fetch(`${fixture.url}/v1/sessions/${session}`)).text();
  }
  t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
});

async function rawEvents(t: Test, { port }: Fixture, session: string): Promise<{ socket: Socket; text: () => string }> {
  const socket = connectTcp(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  let text = '';
  socket.on('data', (data) => {
    text += data.toString();
  });
  socket.on('error', () => undefined);
  socket.write(`GET /v1/sessions/${session}/events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  while (!text.includes('session:ready')) await once(socket, 'data');
  return { socket, text: () => text };
}
