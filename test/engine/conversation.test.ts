import t from 'tap';
import { createClient, RESP_TYPES } from 'redis';
import { decodeBlock } from '../../workers/agent/store/history-codec.js';
import { startStack } from '../helpers/stack.js';
import { text, tool } from '../helpers/model-server.js';
import { connect } from '../helpers/ws-client.js';
import { fetchMetrics } from '../helpers/metrics.js';

const stack = await startStack();
t.teardown(() => stack.stop());
const { engine, model } = stack;

t.test('a person asks, says yes, and the answer streams back', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  const ready = await client.ready;
  t.equal(ready.resumed, false);
  t.match(ready.session, /^[\w-]{22,}$/);
  t.same(await stack.containers(), [], 'an attach costs no container');

  client.say('List all files in /workspace', 'first');
  const asked = await client.waitFor('tool:approval_required');
  t.match(asked, { name: 'list_files', server: 'workspace', position: 1, total: 1 });
  t.same(await stack.containers(), [], 'nor does a question');
  client.approve(asked.callId);
  const result = await client.waitFor('tool:result');
  t.match(result, { callId: asked.callId, ok: true });
  const end = await client.turnEnd();
  t.match(end, { stopReason: 'end_turn', model: 'claude-sonnet-5-5' });
  t.match(client.text(1), /Here is what I found/);
  t.same(
    client.events.flatMap((event) => ('seq' in event && event.type !== 'session:ready' ? [event.type] : [])),
    [
      'message:accepted',
      'turn:start',
      'tool:approval_required',
      'tool:approved',
      'tool:start',
      'tool:result',
      'text',
      'turn:end',
    ],
  );
  t.same(client.gaps(), []);
  t.equal((await stack.leasedTo(ready.session)).length, 1);

  t.test('the conversation is in Redis as lz4 blocks', async (t) => {
    const redis = await createClient({ url: stack.redis.url })
      .withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
      .connect();
    t.teardown(() => redis.close());
    const blocks = await redis.lRange(`fairlead:{${ready.session}}:history`, 0, -1);
    const messages = blocks.flatMap((block) => decodeBlock(block));
    t.same(
      messages.map((message) => message.role),
      ['user', 'assistant', 'user', 'assistant'],
    );
  });

  t.test('files stay for the next turn, and a remembered yes is not asked again', async (t) => {
    model.enqueue(tool('write_file', { path: 'notes.txt', content: 'remember me' }), text('written'));
    client.say('write it down');
    const write = await client.waitFor('tool:approval_required');
    client.approve(write.callId, { remember: 'session' });
    await client.turnEnd();
    model.enqueue(
      tool('write_file', { path: 'more.txt', content: 'again' }),
      tool('read_file', { path: 'notes.txt' }),
      text('read'),
    );
    client.say('and read it');
    t.match(await client.waitFor('tool:approved'), { by: 'policy' }, 'write_file was allowed for the session');
    const read = await client.waitFor('tool:approval_required');
    t.equal(read.name, 'read_file');
    client.approve(read.callId);
    const content = await client.waitFor((event) => event.type === 'tool:result' && event.callId === read.callId);
    t.match(JSON.stringify(content), /remember me/);
    await client.turnEnd();
    t.equal((await stack.leasedTo(ready.session)).length, 1, 'one container a session');
  });

  t.test('the output of a command comes as it is printed', async (t) => {
    model.enqueue(tool('run_command', { command: 'echo one; echo two >&2; exit 3' }), text('done'));
    client.say('run it');
    const run = await client.waitFor('tool:approval_required');
    client.approve(run.callId);
    const ended = await client.waitFor('tool:result');
    t.match(JSON.stringify(ended.content), /exit code:? 3/i);
    await client.turnEnd();
    t.match(client.output(run.callId, 'stdout'), /one/);
    t.match(client.output(run.callId, 'stderr'), /two/);
  });

  t.test('a denial is told to the model with its reason, and the turn goes on', async (t) => {
    model.enqueue(tool('run_command', { command: 'rm -rf /' }), text('I will not then.'));
    client.say('delete everything');
    const run = await client.waitFor('tool:approval_required');
    client.deny(run.callId, 'that is not what I meant');
    t.match(await client.waitFor('tool:denied'), { by: 'user', reason: 'that is not what I meant' });
    t.match(await client.turnEnd(), { stopReason: 'end_turn' });
    const last = model.requests.at(-1)!.body;
    t.match(JSON.stringify(last.messages.at(-1)), /that is not what I meant/);
  });
  t.same(model.violations, [], 'the model’s API had nothing to refuse');
});

t.test('another device joins the same session, and a new connection replays what it missed', async (t) => {
  const first = await connect(engine.wsUrl);
  const { session } = await first.ready;
  await first.ask('hello');
  const seen = first.lastSeq;
  await first.terminate();

  const back = await connect(engine.wsUrl, { session, after: 1 });
  t.teardown(() => back.close());
  t.match(await back.ready, { resumed: true, seq: seen });
  t.equal((await back.waitFor('turn:end')).seq, seen);
  const other = await connect(engine.wsUrl, { session });
  t.teardown(() => other.close());
  await other.ready;
  await back.ask('and again');
  await other.turnEnd(2);
  t.same(back.gaps(), []);
  t.same(other.gaps(), []);
});

t.test('plain HTTP: 202 with what is pending, the approval, then the history', async (t) => {
  const json = { 'content-type': 'application/json' };
  const made = await fetch(`${engine.url}/v1/sessions`, { method: 'POST', headers: json, body: '{}' });
  t.equal(made.status, 201);
  const { session } = (await made.json()) as { session: string };
  const base = `${engine.url}/v1/sessions/${session}`;
  const said = await fetch(`${base}/messages`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ text: 'List all files in /workspace' }),
  });
  t.equal(said.status, 202);
  const { pending } = (await said.json()) as { pending: { callId: string }[] };
  t.equal(pending.length, 1);
  const approve = (): Promise<Response> =>
    fetch(`${base}/approvals/${pending[0]!.callId}`, { method: 'POST', headers: json, body: '{"approved":true}' });
  t.equal((await approve()).status, 200);
  const twice = await approve();
  t.equal(twice.status, 409);
  t.match(await twice.json(), { code: 'ERR_CALL_NOT_PENDING' });

  const watch = await connect(engine.wsUrl, { session, after: 0 });
  t.teardown(() => watch.close());
  t.match(await watch.turnEnd(1), { stopReason: 'end_turn' });
  const again = await fetch(`${base}/messages`, { method: 'POST', headers: json, body: '{"text":"hello"}' });
  t.equal(again.status, 200);
  t.match(await again.json(), { turn: 2, text: 'Hello from the stand-in model.', stopReason: 'end_turn' });
  const history = (await (await fetch(`${base}/history`)).json()) as { transcript: unknown[] };
  t.equal(history.transcript.length, 6);

  t.test('deleting it removes its container and its keys', async (t) => {
    t.equal((await stack.leasedTo(session)).length, 1);
    t.equal((await fetch(base, { method: 'DELETE' })).status, 204);
    t.same(await stack.containers(session), []);
    t.equal((await watch.closed).code, 4404);
    t.equal((await fetch(base)).status, 404);
    const redis = await createClient({ url: stack.redis.url }).connect();
    t.teardown(() => redis.close());
    t.same(
      (await redis.keys('*')).filter((key) => key.includes(session)),
      [],
    );
  });
});

t.test('metrics name the threads, readiness is 200', async (t) => {
  t.equal((await fetch(`${engine.url}/healthz`)).status, 200);
  t.equal((await fetch(`${engine.url}/readyz`)).status, 200);
  const metrics = await fetchMetrics(engine.url);
  for (const name of [
    'fairlead_connections',
    'fairlead_turns_total{stop_reason="end_turn"}',
    'fairlead_first_token_seconds_bucket',
    'fairlead_turn_seconds_count',
    'fairlead_tool_seconds_count',
    'fairlead_docker_operations_total',
    'fairlead_store_seconds_count',
    'fairlead_event_loop_delay_seconds{thread="main"',
    'fairlead_heap_used_bytes{thread="agent-0"',
    'fairlead_heap_used_bytes{thread="docker"',
  ]) {
    t.ok(metrics.includes(name), name);
  }
});

t.test('a restart keeps the conversation', async (t) => {
  const client = await connect(engine.wsUrl);
  const { session } = await client.ready;
  await client.ask('hello');
  await engine.restart();
  t.equal((await client.closed).code, 1001);
  const back = await connect(engine.wsUrl, { session, after: client.lastSeq });
  t.teardown(() => back.close());
  await back.ask('do you remember?');
  t.equal(model.requests.at(-1)!.body.messages.length, 3);
  t.same(back.gaps(), []);
});
