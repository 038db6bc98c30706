import t from 'tap';
import { deferred } from '../helpers/processes.js';
import { startStack } from '../helpers/stack.js';
import { text, tool } from '../helpers/model-server.js';
import { connect } from '../helpers/ws-client.js';

t.test('SIGTERM in the middle of a turn: the turn gets its grace, then exit 0 and nothing is left', async (t) => {
  const stack = await startStack();
  t.teardown(() => stack.stop());
  const client = await connect(stack.engine.wsUrl);
  const { session } = await client.ready;
  stack.model.enqueue(tool('run_command', { command: 'echo here' }));
  const gate = deferred<void>();
  stack.model.enqueue({ blocks: [{ text: 'first ' }, { gate: gate.promise, text: 'second' }] });
  client.say('go');
  client.approve((await client.waitFor('tool:approval_required')).callId);
  await client.waitFor('text:delta');
  t.equal((await stack.leasedTo(session)).length, 1);
  stack.engine.signal('SIGTERM');
  await stack.engine.waitForLog((line) => line.msg === 'stopping');
  t.equal((await fetch(`${stack.engine.url}/readyz`)).status, 503);
  gate.resolve();
  t.match(await client.turnEnd(), { stopReason: 'end_turn' });
  t.equal((await client.closed).code, 1001);
  t.same(await stack.engine.exited, { code: 0, signal: null });
  t.same(await stack.allContainers(), []);
});

t.test('SIGHUP, as of a terminal that closes, ends nothing', async (t) => {
  const stack = await startStack();
  t.teardown(() => stack.stop());
  const client = await connect(stack.engine.wsUrl);
  t.teardown(() => client.close());
  stack.engine.signal('SIGHUP');
  await stack.engine.waitForLog((line) => line.msg === 'the configuration was read again');
  t.match(await client.ask('still there?'), { stopReason: 'end_turn' });
});

t.test('a turn that does not end within the grace is interrupted, and its transcript stays valid', async (t) => {
  const stack = await startStack({ config: { listen: { drainTimeoutMs: 300 } } });
  t.teardown(() => stack.stop());
  const client = await connect(stack.engine.wsUrl);
  const { session } = await client.ready;
  stack.model.enqueue(tool('run_command', { command: 'sleep 600' }));
  client.say('sleep');
  client.approve((await client.waitFor('tool:approval_required')).callId);
  await client.waitFor('tool:start');
  stack.engine.signal('SIGTERM');
  t.match(await client.turnEnd(), { stopReason: 'interrupted' });
  t.same(await stack.engine.exited, { code: 0, signal: null });
  t.same(await stack.allContainers(), []);
  await stack.engine.start();
  const back = await connect(stack.engine.wsUrl, { session, after: client.lastSeq });
  t.teardown(() => back.close());
  t.match(await back.ask('what now?'), { stopReason: 'end_turn' });
  t.same(stack.model.violations, []);
});

t.test('a turn that waits for a yes does not hold the stop up, and waits on after the next start', async (t) => {
  const stack = await startStack();
  t.teardown(() => stack.stop());
  const client = await connect(stack.engine.wsUrl);
  const { session } = await client.ready;
  stack.model.enqueue(tool('list_files', { path: '.' }), text('listed'));
  client.say('list');
  const { callId } = await client.waitFor('tool:approval_required');
  stack.engine.signal('SIGTERM');
  t.match(await client.closed, { code: 1001 });
  t.same(await stack.engine.exited, { code: 0, signal: null });
  await stack.engine.start();
  const back = await connect(stack.engine.wsUrl, { session, after: client.lastSeq });
  t.teardown(() => back.close());
  t.match((await back.ready).pending, [{ callId }]);
  back.approve(callId);
  t.match(await back.turnEnd(1), { stopReason: 'end_turn' });
  t.same([...client.gaps(), ...back.gaps()], []);
});

t.test('a second signal ends at once', async (t) => {
  const stack = await startStack();
  t.teardown(() => stack.stop());
  const client = await connect(stack.engine.wsUrl);
  const gate = deferred<void>();
  t.teardown(() => gate.resolve());
  stack.model.enqueue({ blocks: [{ text: 'a' }, { gate: gate.promise, text: 'b' }] });
  client.say('tell');
  await client.waitFor('text:delta');
  stack.engine.signal('SIGTERM');
  await stack.engine.waitForLog((line) => line.msg === 'stopping');
  stack.engine.signal('SIGTERM');
  t.same(await stack.engine.exited, { code: 1, signal: null });
});

t.test(
  'after kill -9 the next start takes the container up, tells what cannot go on, and the turn goes on',
  async (t) => {
    const stack = await startStack();
    t.teardown(() => stack.stop());
    const client = await connect(stack.engine.wsUrl);
    const { session } = await client.ready;
    stack.model.enqueue(tool('run_command', { command: 'echo up > kept.txt; echo up; sleep 600' }), text('I see'));
    client.say('sleep');
    client.approve((await client.waitFor('tool:approval_required')).callId);
    await client.waitFor('tool:output');
    stack.engine.signal('SIGKILL');
    await stack.engine.exited;
    const left = await stack.leasedTo(session);
    t.equal(left.length, 1, 'the container is left behind');
    await stack.engine.start();
    const back = await connect(stack.engine.wsUrl, { session, after: client.lastSeq });
    t.teardown(() => back.close());
    t.match(await back.turnEnd(1), { stopReason: 'end_turn' });
    t.match(
      back.events.find(({ type }) => type === 'tool:result'),
      { ok: false },
    );
    stack.model.enqueue(tool('read_file', { path: 'kept.txt' }), text('fine'));
    back.say('again');
    const { callId } = await back.waitFor('tool:approval_required');
    back.approve(callId);
    t.match(await back.turnEnd(2), { stopReason: 'end_turn' });
    t.match(
      back.events.find((event) => event.type === 'tool:result' && event.callId === callId),
      { ok: true, content: [{ text: /up/ }] },
    );
    t.equal((await stack.leasedTo(session))[0]?.id, left[0]?.id, 'it is the same container');
    t.match(JSON.stringify(stack.model.requests.at(-1)!.body.messages), /may have run/);
    t.same(back.gaps(), []);
    t.same(stack.model.violations, []);
  },
);
