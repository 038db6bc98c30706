import t from 'tap';
import { startStack } from '../helpers/stack.js';
import { text, tool } from '../helpers/model-server.js';
import { serverStatusSchema, type ServerStatus } from '../../src/shared/server-status.js';
import { connect } from '../helpers/ws-client.js';

const stack = await startStack();
t.teardown(() => stack.stop());
const { engine, model } = stack;

/** A signal has been sent; the kernel may not have got round to it. */
const GONE = 'while ps | grep -q "[s]leep 1000"; do sleep 0.05; done; echo it has gone';

t.test('a stream that breaks in the middle ends the turn with ERR_MODEL; what was read is kept', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  model.enqueue({ blocks: [{ text: 'this text is cut somewhere in its middle' }], cutAfter: 2 });
  t.match(await client.ask('go'), { stopReason: 'error', error: { code: 'ERR_MODEL' } });
  t.match(await client.ask('go on'), { stopReason: 'end_turn' });
  t.match(JSON.stringify(model.requests.at(-1)!.body.messages), /this text is/);
  t.same(client.gaps(), []);
});

t.test('a key that is refused, and an overloaded model are plain words', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  model.enqueue({ status: 401 });
  t.match(await client.ask('go'), { stopReason: 'error', error: { code: 'ERR_MODEL' } });
  const before = model.count;
  model.enqueue({ status: 529 }, text('made it'));
  t.match(await client.ask('go', { timeoutMs: 20_000 }), { stopReason: 'end_turn' });
  t.equal(model.count - before, 2, '529 was tried again by the SDK');
});

t.test('a model that answers nobody is an outage in the log and in the status, until it answers', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  const status = async (): Promise<ServerStatus> =>
    serverStatusSchema.parse(await (await fetch(`${engine.url}/v1/admin/status`)).json());
  for (let time = 0; time < 3; time++) {
    model.enqueue({ status: 401 });
    t.match(await client.ask('go'), { stopReason: 'error' });
  }
  await engine.waitForLog(({ level, msg }) => level === 50 && msg === 'an outage has begun: model');
  const during = await status();
  t.match(during, { ready: true, outages: [{ part: 'model' }], people: { users: 1 }, threads: { alive: Number } });
  t.match(await client.ask('go'), { stopReason: 'end_turn' });
  await engine.waitForLog(({ msg }) => /^an outage has ended after [\d.]+ s: model$/.test(msg));
  t.same((await status()).outages, []);
});

t.test('a model that answers nothing ends the turn, and the next one works', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  model.enqueue({ blocks: [] });
  t.match(await client.ask('go'), { stopReason: 'end_turn' });
  t.match(await client.ask('again'), { stopReason: 'end_turn' });
});

t.test('an invented tool and arguments that do not fit are told to the model, not to the person', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  model.enqueue(tool('make_coffee', { strong: true }), tool('read_file', { path: 7 }), text('sorry'));
  t.match(await client.ask('go'), { stopReason: 'end_turn' });
  t.notOk(client.events.some((event) => event.type === 'tool:approval_required'));
  const told = JSON.stringify(model.requests.at(-1)!.body.messages);
  t.match(told, /no tool named make_coffee/);
  t.match(told, /do not fit the tool's schema/);
});

t.test('thinking is streamed, kept and given back; several calls of one answer are asked for at once', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  model.enqueue(
    {
      blocks: [
        { thinking: 'let me look' },
        { text: 'I look twice.' },
        { tool: 'list_files', input: { path: '.' } },
        { tool: 'run_command', input: { command: 'echo two' } },
      ],
    },
    text('done'),
  );
  client.say('look');
  const first = await client.waitFor('tool:approval_required');
  const second = await client.waitFor('tool:approval_required');
  t.match([first.position, first.total, second.position, second.total], [1, 2, 2, 2]);
  client.approve(second.callId);
  t.match(await client.waitFor('tool:result'), { callId: second.callId }, 'it runs before the first is answered');
  client.deny(first.callId);
  t.match(await client.turnEnd(), { stopReason: 'end_turn' });
  t.ok(client.events.some((event) => event.type === 'thinking:delta'));
  t.match(client.text(1), /I look twice\./);
  t.same(client.gaps(), []);
});

t.test('turn:cancel while it streams, while it waits, and while a tool runs', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  const { session } = await client.ready;
  model.enqueue({ blocks: [{ text: 'a long story without an end '.repeat(200) }], gapMs: 20 });
  client.say('tell');
  await client.waitFor('text:delta');
  client.send({ type: 'turn:cancel' });
  t.match(await client.turnEnd(1), { stopReason: 'cancelled' });
  const streaming = model.requests.at(-1)!;
  t.equal(await streaming.ended, 'aborted', 'the HTTP stream is closed');

  model.enqueue(tool('list_files', { path: '.' }));
  client.say('list');
  const asked = await client.waitFor('tool:approval_required');
  client.send({ type: 'turn:cancel' });
  t.match(await client.turnEnd(2), { stopReason: 'cancelled' });
  client.approve(asked.callId);
  t.match(await client.waitFor('error'), { code: 'ERR_CALL_NOT_PENDING' });

  model.enqueue(tool('run_command', { command: 'echo started; sleep 1000', timeout_ms: 600_000 }));
  client.say('sleep');
  client.approve((await client.waitFor('tool:approval_required')).callId);
  await client.waitFor('tool:output');
  client.send({ type: 'turn:cancel' });
  t.match(await client.waitFor('tool:result'), { ok: false });
  t.match(await client.turnEnd(3), { stopReason: 'cancelled' });

  model.enqueue(tool('run_command', { command: GONE }), text('ok'));
  client.say('is it gone?');
  client.approve((await client.waitFor('tool:approval_required')).callId);
  t.match(JSON.stringify((await client.waitFor('tool:result')).content), 'it has gone');
  t.match(await client.turnEnd(4), { stopReason: 'end_turn' });
  t.equal((await stack.leasedTo(session)).length, 1);
  t.same(client.gaps(), []);
});

t.test('at the end the model’s API had nothing to refuse', async (t) => {
  t.same(model.violations, []);
  t.equal(model.queued, 0);
});

t.test('what the API refuses is left out and asked once more, and a crash does not forget it', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  const { session } = await client.ready;
  model.enqueue(text('hello'));
  await client.ask('something odd');
  const refusal = { message: 'messages.0.content.0.text: this is refused' };
  model.enqueue({ status: 400, error: refusal }, text('fine'));
  const before = model.count;
  t.match(await client.ask('and now?'), { stopReason: 'end_turn' });
  t.equal(model.count - before, 2);
  await engine.restart({ signal: 'SIGKILL' });
  const later = await connect(engine.wsUrl, { session, after: client.lastSeq });
  t.teardown(() => later.close());
  model.enqueue(text('still fine'));
  t.match(await later.ask('go on'), { stopReason: 'end_turn' });
  t.equal(model.count - before, 3);
  const sent = JSON.stringify(model.requests.at(-1)!.body.messages);
  t.notMatch(sent, /something odd/);
  t.match(sent, /and now/);
});
