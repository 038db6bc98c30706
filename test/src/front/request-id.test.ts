import { PassThrough } from 'node:stream';
import pino from 'pino';
import t, { type Test } from 'tap';
import { requestIdOf } from '../../../src/front/request-id.js';
import { connect } from '../../helpers/ws-client.js';
import { startFront, type Fixture, type FixtureOptions } from './front-fixture.js';

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

type Line = { msg: string; requestId?: string };

async function logged(t: Test, options: FixtureOptions = {}): Promise<{ fixture: Fixture; lines: () => Line[] }> {
  const out = new PassThrough();
  const fixture = await startFront({ ...options, log: pino(out) });
  t.teardown(() => fixture.close());
  const text = (): string => (out.read() as Buffer | null)?.toString() ?? '';
  const lines = (): Line[] =>
    text()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line);
  return { fixture, lines };
}

t.test('a well-formed id is kept, and any other gives way to a new one', (t) => {
  for (const id of ['a', 'a1b2-c3', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 'x'.repeat(128)]) {
    t.equal(requestIdOf(id), id);
  }
  for (const id of ['', 'x'.repeat(129), 'a b', 'a"b', 'a\u001b[2J', 'ä', '{{7*7}}'])
    t.match(requestIdOf(id), UUID, id);
  t.not(requestIdOf(''), requestIdOf(''));
  t.end();
});

t.test('an answer, its problem and the line of the log have the id of the request', async (t) => {
  const { fixture, lines } = await logged(t);
  fixture.agent.overrides.set('create-session', () => {
    throw new Error('a fault');
  });
  const ask = (headers: Record<string, string>): Promise<Response> =>
    fetch(`${fixture.url}/v1/sessions`, { method: 'POST', headers });
  const failed = await ask({ 'x-request-id': 'from-the-proxy.1' });
  t.equal(failed.status, 500);
  t.equal(failed.headers.get('x-request-id'), 'from-the-proxy.1');
  t.match(await failed.json(), { code: 'ERR_INTERNAL', requestId: 'from-the-proxy.1' });
  t.match(lines(), [{ msg: 'request failed', requestId: 'from-the-proxy.1' }]);
  const other = await ask({ 'x-request-id': 'no good' });
  const { requestId } = (await other.json()) as { requestId: string };
  t.match(requestId, UUID);
  t.equal(other.headers.get('x-request-id'), requestId);
  const probe = await fetch(`${fixture.url}/healthz`, { headers: { 'x-request-id': 'probe' } });
  t.equal(probe.headers.get('x-request-id'), 'probe');
  await probe.text();
});

t.test('the errors of a WebSocket have the id of its upgrade, and the log too', async (t) => {
  const { fixture, lines } = await logged(t);
  const client = await connect(fixture.url, { headers: { 'x-request-id': 'upgrade-1' } });
  t.teardown(() => client.terminate());
  await client.ready;
  client.send({ type: 'tool:approval', id: 'a1', callId: 'c1', approved: true });
  t.match(await client.waitFor('error'), { id: 'a1', code: 'ERR_CALL_NOT_PENDING', requestId: 'upgrade-1' });
  fixture.agent.overrides.set('cancel-turn', () => {
    throw new Error('a fault');
  });
  client.send({ type: 'turn:cancel', id: 'c1' });
  t.match(await client.waitFor('error'), { id: 'c1', code: 'ERR_INTERNAL', requestId: 'upgrade-1' });
  t.match(lines(), [{ msg: 'turn:cancel', requestId: 'upgrade-1' }]);
});

t.test('a refused credential and a refused page are found by their ids', async (t) => {
  const { fixture, lines } = await logged(t, { tokens: { ann: 'token-a' } });
  const headers = { authorization: 'Bearer SECRET', 'x-request-id': 'bad-token' };
  t.match(await (await fetch(`${fixture.url}/v1/sessions`, { headers })).json(), { requestId: 'bad-token' });
  const page = { authorization: 'Bearer token-a', origin: 'https://evil.example', 'x-request-id': 'bad-page' };
  t.match(await (await fetch(`${fixture.url}/v1/sessions`, { headers: page })).json(), { requestId: 'bad-page' });
  const said = lines();
  t.match(said, [
    { msg: 'refused: no or bad credentials', requestId: 'bad-token', address: '127.0.0.1', path: '/v1/sessions' },
    { msg: /^refused: the Origin/, requestId: 'bad-page' },
  ]);
  t.notMatch(JSON.stringify(said), 'SECRET');
});

t.test('a message takes the id of its request, or of its socket, along to the agent thread', async (t) => {
  const { fixture } = await logged(t);
  const { agent } = fixture;
  const client = await connect(fixture.url, { headers: { 'x-request-id': 'upgrade-2' } });
  t.teardown(() => client.terminate());
  await client.ready;
  client.say('hello');
  t.match(await agent.asked('submit-message'), { requestId: 'upgrade-2' });
  agent.onMessage = (session, turn) => agent.finish(session, turn, 'done');
  const created = await fetch(`${fixture.url}/v1/sessions`, { method: 'POST' });
  const { session } = (await created.json()) as { session: string };
  const answer = await fetch(`${fixture.url}/v1/sessions/${session}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'post-1' },
    body: JSON.stringify({ text: 'hello' }),
  });
  await answer.text();
  t.match(await agent.asked('submit-message', 2), { requestId: 'post-1' });
});
