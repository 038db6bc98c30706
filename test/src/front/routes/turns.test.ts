import t from 'tap';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { PendingApproval } from '../../../../src/shared/protocol.js';
import { connect } from '../../../helpers/ws-client.js';
import { startFront, type Fixture } from '../front-fixture.js';
import { USAGE } from '../test-agent.js';

const APPROVAL: Omit<PendingApproval, 'kind' | 'turn'> = {
  callId: 'c1',
  name: 'run_command',
  server: 'workspace',
  args: { command: 'ls' },
  position: 1,
  total: 1,
  expiresAt: 1,
};

function post(
  fixture: Fixture,
  session: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${fixture.url}/v1/sessions/${session}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

/** All events up to the stream's end, or to the one that `until` names. */
async function readSse(
  response: Response,
  until?: (event: EventSourceMessage) => boolean,
): Promise<EventSourceMessage[]> {
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  const decoder = new TextDecoder();
  for await (const chunk of response.body!) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    if (until && events.some(until)) break;
  }
  return events;
}

function ids(events: EventSourceMessage[]): string[] {
  return events.flatMap(({ id }) => (id === undefined ? [] : [id]));
}

const SSE = { accept: 'text/event-stream' };

t.test('a message answers 200 with the finished turn', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-json');
  agent.onMessage = (id, turn) => {
    agent.stream(id, { type: 'text:delta', turn, block: 0, offset: 0, text: 'one' });
    agent.emit(id, { type: 'text', turn, block: 0, text: 'one ' });
    agent.emit(
      id,
      { type: 'tool:approved', callId: 'c1', by: 'policy' },
      { type: 'tool:start', callId: 'c1', name: 'run', server: 'workspace', args: {} },
      { type: 'tool:result', callId: 'c1', ok: true, content: [{ type: 'text', text: 'out' }], ms: 1 },
    );
    agent.finish(id, turn, 'two');
  };
  const response = await post(fixture, session, { content: [{ type: 'text', text: 'hi' }] });
  t.equal(response.status, 200);
  t.strictSame(await response.json(), {
    turn: 1,
    text: 'one two',
    tools: [{ callId: 'c1', name: 'run', server: 'workspace', ok: true, content: [{ type: 'text', text: 'out' }] }],
    usage: USAGE,
    stopReason: 'end_turn',
    model: 'test-model',
  });
  t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
});

t.test('a message whose turn asks for approvals answers 202 with all of them', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-pending');
  agent.onMessage = (id, turn) => {
    agent.emit(
      id,
      { type: 'tool:approval_required', turn, ...APPROVAL, total: 2 },
      { type: 'tool:approval_required', turn, ...APPROVAL, callId: 'c2', position: 2, total: 2 },
    );
  };
  const response = await post(fixture, session, { text: 'hi' });
  t.equal(response.status, 202);
  t.match(await response.json(), {
    turn: 1,
    pending: [
      { kind: 'approval', callId: 'c1', turn: 1 },
      { kind: 'approval', callId: 'c2', turn: 1 },
    ],
  });
});

t.test('a message queued behind a turn that waits for the user answers 202 too', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-behind');
  agent.sessions.get(session)!.pending.push({ kind: 'approval', turn: 1, ...APPROVAL });
  agent.sessions.get(session)!.turns = 1;
  agent.overrides.set('submit-message', ({ id }) => {
    agent.emit(session, { type: 'message:accepted', id: id as string, turn: 2, queued: 1 });
    return { turn: 2, queued: 1, duplicate: false };
  });
  const response = await post(fixture, session, { text: 'hi' });
  t.equal(response.status, 202);
  t.match(await response.json(), { turn: 2, pending: [{ callId: 'c1', turn: 1 }] });
});

t.test('a turn that ends in an error is a problem with the error’s status', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-fail');
  for (const [code, status] of [
    ['ERR_MODEL', 502],
    ['ERR_UNAVAILABLE', 503],
    ['ERR_FROM_ELSEWHERE', 500],
  ] as const) {
    agent.onMessage = (id, turn) => {
      const error = { code, message: 'told', retryAfterMs: 1000 };
      agent.emit(id, { type: 'turn:end', turn, stopReason: 'error', usage: USAGE, ms: 1, model: 'm', error });
    };
    const response = await post(fixture, session, { text: 'hi' });
    t.equal(response.status, status);
  }
});

t.test('a refused message is an HTTP problem, for SSE too', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-refused');
  fixture.agent.overrides.set('submit-message', () => {
    throw new FairleadError('ERR_TOO_MANY_REQUESTS', '5 in flight', { retryAfterMs: 1000 });
  });
  for (const headers of [{}, SSE]) {
    const response = await post(fixture, session, { text: 'hi' }, headers);
    t.equal(response.status, 429);
    t.equal(response.headers.get('retry-after'), '1');
    t.match(await response.json(), { code: 'ERR_TOO_MANY_REQUESTS' });
  }
  t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
});

t.test('with Accept: text/event-stream the turn’s own events come as SSE and end with it', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-stream');
  agent.onMessage = (id, turn) => {
    agent.stream(id, { type: 'text:delta', turn, block: 0, offset: 0, text: 'hel' });
    agent.emit(id, { type: 'message:accepted', turn: turn + 1, queued: 1 });
    agent.stream(id, { type: 'tool:output', callId: 'c1', stream: 'stdout', offset: 0, text: 'a\nb' });
    agent.finish(id, turn, 'hello');
    agent.emit(id, { type: 'turn:start', turn: turn + 1 });
  };
  const response = await post(fixture, session, { text: 'hi', id: 'mine' }, SSE);
  t.equal(response.status, 200);
  t.match(response.headers.get('content-type'), /^text\/event-stream/);
  t.equal(response.headers.get('cache-control'), 'no-store');
  const events = await readSse(response);
  t.strictSame(
    events.map(({ event, id }) => [event, id]),
    [
      ['message:accepted', '1'],
      ['turn:start', '2'],
      ['text:delta', undefined],
      ['tool:output', undefined],
      ['text', '4'],
      ['turn:end', '5'],
    ],
  );
  t.match(JSON.parse(events[0]!.data), { type: 'message:accepted', id: 'mine', seq: 1 });
  t.match(JSON.parse(events[3]!.data), { text: 'a\nb' });
  t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
});

t.test('a message sent twice with one id runs once, and both answers are its turn', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-twice');
  const first = await (await post(fixture, session, { text: 'hi', id: 'm1' })).json();
  t.strictSame(await (await post(fixture, session, { text: 'hi', id: 'm1' })).json(), first);
  const events = await readSse(await post(fixture, session, { text: 'hi', id: 'm1' }, SSE));
  t.strictSame(
    events.map(({ event }) => event),
    ['message:accepted', 'turn:start', 'text', 'turn:end'],
  );
  t.equal(agent.sessions.get(session)?.turns, 1);
  agent.sessions.get(session)!.log = [];
  for (const headers of [{}, SSE]) {
    const gone = await post(fixture, session, { text: 'hi', id: 'm1' }, headers);
    t.equal(gone.status, 409);
    t.match(await gone.json(), { code: 'ERR_DUPLICATE_MESSAGE' });
  }
});

t.test('events: from after on, Last-Event-ID goes before it, and live ones follow', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-events');
  for (let turn = 1; turn <= 4; turn++) agent.emit(session, { type: 'turn:start', turn });
  const url = `${fixture.url}/v1/sessions/${session}/events`;
  t.strictSame(ids(await readSse(await fetch(`${url}?after=2`), ({ id }) => id === '4')), ['3', '4']);
  const header = { headers: { 'last-event-id': '3' } };
  t.strictSame(ids(await readSse(await fetch(`${url}?after=0`, header), ({ id }) => id === '4')), ['4']);
  const live = await fetch(url);
  agent.emit(session, { type: 'turn:start', turn: 5 });
  const events = await readSse(live, ({ id }) => id === '5');
  t.equal(events[0]?.event, 'session:ready');
  t.strictSame(ids(events), ['5']);
  for (const bad of ['x', '-1', '1.5', '99999999999999999999']) {
    t.equal((await fetch(`${url}?after=${bad}`)).status, 400, bad);
  }
  t.equal((await fetch(`${url}?after=9`)).status, 400, 'ahead of the log');
  t.equal((await fetch(url, { method: 'HEAD' })).status, 405);
});

t.test('an aborted request leaves no subscriber', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-abort');
  agent.onMessage = () => undefined;
  for (const headers of [{}, SSE]) {
    const abort = new AbortController();
    const asked = agent.calls.filter(({ name }) => name === 'submit-message').length;
    const sent = fetch(`${fixture.url}/v1/sessions/${session}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: '{"text":"hi"}',
      signal: abort.signal,
    }).then(
      (response) => response.text(),
      () => undefined,
    );
    await agent.asked('submit-message', asked + 1);
    t.strictSame(fixture.front.counts(), { connections: 1, sessions: 1 });
    abort.abort();
    await sent.catch(() => undefined);
    while (fixture.front.counts().connections > 0) await (await fetch(`${fixture.url}/healthz`)).text();
    t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
  }
});

t.test('waiting requests and streams count as connections of their user', async (t) => {
  const fixture = await startFront({ limits: { maxSocketsPerUser: 2 } });
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-many');
  agent.onMessage = () => undefined;
  const socket = await connect(fixture.url, { session });
  t.teardown(() => socket.terminate());
  await socket.ready;
  const events = await fetch(`${fixture.url}/v1/sessions/${session}/events`);
  t.teardown(() => events.body?.cancel());
  const refused = await post(fixture, session, { text: 'hi' });
  t.equal(refused.status, 429);
  t.match(await refused.json(), { code: 'ERR_TOO_MANY_SOCKETS' });
  t.equal(agent.sessions.get(session)?.turns, 0);
});

t.test('a deleted session ends its streams and waiting requests', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-gone');
  agent.onMessage = () => undefined;
  const events = await fetch(`${fixture.url}/v1/sessions/${session}/events`);
  const waiting = post(fixture, session, { text: 'hi' });
  await agent.asked('submit-message');
  await fetch(`${fixture.url}/v1/sessions/${session}`, { method: 'DELETE' });
  t.equal((await waiting).status, 404);
  const last = (await readSse(events)).at(-1)!;
  t.equal(last.event, 'error');
  t.match(JSON.parse(last.data), { type: 'error', code: 'ERR_NO_SUCH_SESSION' });
});

t.test('the end of the server ends streams with ERR_DRAINING, and waiting requests with 503', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const { agent } = fixture;
  const session = agent.make('s-drain');
  agent.onMessage = () => undefined;
  const stream = await post(fixture, session, { text: 'hi' }, SSE);
  const waiting = post(fixture, session, { text: 'hi' });
  await agent.asked('submit-message', 2);
  fixture.front.stopAccepting();
  await fixture.front.closeAll(1001, 'the server is stopping');
  t.equal((await waiting).status, 503);
  t.match(JSON.parse((await readSse(stream)).at(-1)!.data), { code: 'ERR_DRAINING' });
  t.strictSame(fixture.front.counts(), { connections: 0, sessions: 0 });
});

t.test('a message that is repeated over and over is told its turn as often as a user may read', async (t) => {
  const fixture = await startFront({ limits: { maxReadsPerSecond: 1 } });
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s-repeated');
  const repeated = { id: 'm', text: 'hi' };
  t.equal((await post(fixture, session, repeated)).status, 200);
  let status = 200;
  for (let time = 0; time < 30 && status === 200; time++) ({ status } = await post(fixture, session, repeated));
  t.equal(status, 429);
  t.equal((await post(fixture, session, { id: 'new', text: 'hi' })).status, 200, 'a new message is no read');
});
