import t from 'tap';
import { createHash } from 'node:crypto';
import { startStack } from '../helpers/stack.js';
import { deferred } from '../helpers/processes.js';
import { text } from '../helpers/model-server.js';
import { connect } from '../helpers/ws-client.js';

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const stack = await startStack({
  config: {
    auth: {
      tokens: [
        { user: 'ada', sha256: sha256('token-of-ada') },
        { user: 'bob', sha256: sha256('token-of-bob') },
      ],
    },
  },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

t.test('no token and a bad one are 4401, on HTTP 401; a token in the URL is none', async (t) => {
  t.equal((await (await connect(engine.wsUrl)).closed).code, 4401);
  t.equal((await (await connect(engine.wsUrl, { token: 'guess' })).closed).code, 4401);
  t.equal((await (await connect(`${engine.wsUrl}?token=token-of-ada`)).closed).code, 4401);
  const refused = await fetch(`${engine.url}/v1/sessions`);
  t.equal(refused.status, 401);
  t.match(refused.headers.get('content-type'), 'application/problem+json');
  t.match(await refused.json(), { code: 'ERR_UNAUTHORIZED', status: 401 });
});

t.test('a session is its user’s: to another it does not exist, anywhere', async (t) => {
  const ada = await connect(engine.wsUrl, { token: 'token-of-ada' });
  t.teardown(() => ada.close());
  const { session } = await ada.ready;
  await ada.ask('hello');
  t.equal((await (await connect(engine.wsUrl, { token: 'token-of-bob', session })).closed).code, 4404);
  t.equal((await (await connect(engine.wsUrl, { token: 'token-of-ada', session: 'A'.repeat(22) })).closed).code, 4404);
  const headers = { authorization: 'Bearer token-of-bob', 'content-type': 'application/json' };
  const base = `${engine.url}/v1/sessions/${session}`;
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '/history'],
    ['GET', '/events?after=0'],
    ['POST', '/messages'],
    ['POST', '/approvals/x'],
    ['DELETE', ''],
  ] as const) {
    const body = path === '/messages' ? '{"text":"hi"}' : '{"approved":true}';
    const response = await fetch(base + path, { method, headers, ...(method === 'POST' ? { body } : {}) });
    t.match(await response.json(), { code: 'ERR_NO_SUCH_SESSION', status: 404 }, `${method} ${path}`);
  }
  const list = (await (await fetch(`${engine.url}/v1/sessions`, { headers })).json()) as { sessions: unknown[] };
  t.same(list.sessions, []);
  const own = await fetch(base, { headers: { authorization: 'Bearer token-of-ada' } });
  t.match(await own.json(), { session, title: 'hello', turns: 1 });
});

t.test('five messages are in flight, the sixth is refused, and all five get their turn in order', async (t) => {
  const ada = await connect(engine.wsUrl, { token: 'token-of-ada' });
  t.teardown(() => ada.close());
  const gate = deferred<void>();
  model.enqueue({ ...text('one'), gate: gate.promise });
  const ids = ['a', 'b', 'c', 'd', 'e'];
  for (const id of ids) ada.say(`message ${id}`, id);
  ada.say('one too many', 'f');
  t.match(await ada.waitFor('error'), { code: 'ERR_TOO_MANY_REQUESTS', id: 'f' });
  ada.say('message a', 'a');
  t.match(await ada.waitFor('error'), { code: 'ERR_DUPLICATE_MESSAGE', id: 'a' });
  gate.resolve();
  await ada.turnEnd(5);
  const starts = ada.events.flatMap((event) => (event.type === 'turn:start' ? [event.turn] : []));
  t.same(starts, [1, 2, 3, 4, 5]);
  const said = model.requests.at(-1)!.body.messages.filter((message) => message.role === 'user');
  t.same(
    said.map((message) => JSON.stringify(message.content).match(/message (\w)/)?.[1]),
    ids,
  );
  t.same(ada.gaps(), []);
});

t.test('what does not belong on the wire is told, and the session lives on', async (t) => {
  const ada = await connect(engine.wsUrl, { token: 'token-of-ada' });
  t.teardown(() => ada.close());
  await ada.ready;
  for (const raw of ['not json', '{"type":"dance"}', '{"type":"message"}', '{"type":"message","text":"x","extra":1}']) {
    ada.sendRaw(raw);
    t.match(await ada.waitFor('error'), { code: 'ERR_BAD_FRAME' }, raw);
  }
  ada.approve('no-such-call');
  t.match(await ada.waitFor('error'), { code: 'ERR_CALL_NOT_PENDING' });
  t.match(await ada.ask('still there?'), { stopReason: 'end_turn' });
  for (let bad = 0; bad < 5; bad++) ada.sendRaw(Buffer.from([1, 2, 3]));
  t.equal((await ada.closed).code, 4400);
  const large = await connect(engine.wsUrl, { token: 'token-of-ada' });
  await large.ready;
  large.sendRaw('x'.repeat(2 * 2 ** 20));
  t.ok([1006, 1009].includes((await large.closed).code));
});

t.test('a turn as server-sent events, from its acceptance to its end', async (t) => {
  const headers = { authorization: 'Bearer token-of-ada', 'content-type': 'application/json' };
  const made = await fetch(`${engine.url}/v1/sessions`, { method: 'POST', headers, body: '{}' });
  const { session } = (await made.json()) as { session: string };
  const response = await fetch(`${engine.url}/v1/sessions/${session}/messages`, {
    method: 'POST',
    headers: { ...headers, accept: 'text/event-stream' },
    body: '{"text":"hello"}',
  });
  t.match(response.headers.get('content-type'), 'text/event-stream');
  const body = await response.text(); // it ends by itself
  const types = [...body.matchAll(/^event: (.*)$/gm)].map((match) => match[1]).filter((type) => type !== 'text:delta');
  t.same(types, ['message:accepted', 'turn:start', 'text', 'turn:end']);
  t.same(
    [...body.matchAll(/^id: (\d+)$/gm)].map((match) => match[1]),
    ['1', '2', '3', '4'],
  );
  const rest = await fetch(`${engine.url}/v1/sessions/${session}/events`, {
    headers: { ...headers, 'last-event-id': '3' },
  });
  const reader = rest.body!.getReader();
  t.match(new TextDecoder().decode((await reader.read()).value), /turn:end|session:ready/);
  await reader.cancel();
});

t.test('secrets are not in the log', (t) => {
  t.notMatch(JSON.stringify(engine.logs), /token-of-ada|sk-test-key|message a|still there/);
  t.end();
});
