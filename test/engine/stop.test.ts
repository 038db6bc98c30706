import t from 'tap';
import { deferred } from '../helpers/processes.js';
import { startStack } from '../helpers/stack.js';
import { text, tool } from '../helpers/model-server.js';
import { connect } from '../helpers/ws-client.js';
import { removed } from '../workers/docker/docker-events.js';

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
  t.equal((await stack.containers(session)).length, 1);
  stack.engine.signal('SIGTERM');
  await stack.engine.waitForLog((line) => line.msg === 'stopping');
  t.equal((await fetch(`${stack.engine.url}/readyz`)).status, 503);
  gate.resolve();
  t.match(await client.turnEnd(), { stopReason: 'end_turn' });
  t.equal((await client.closed).code, 1001);
  t.same(await stack.engine.exited, { code: 0, signal: null });
  t.same(await stack.allContainers(), []);
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

t.test('a turn that waits for a yes does not hold the stop up', async (t) => {
  const stack = await startStack();
  t.teardown(() => stack.stop());
  const client = await connect(stack.engine.wsUrl);
  stack.model.enqueue(tool('list_files', { path: '.' }));
  client.say('list');
  await client.waitFor('tool:approval_required');
  stack.engine.signal('SIGTERM');
  t.match(await client.turnEnd(), { stopReason: 'interrupted' });
  t.same(await stack.engine.exited, { code: 0, signal: null });
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

t.test('after kill -9 the next start removes the container, ends the turn and serves the session', async (t) => {
  const stack = await startStack();
  t.teardown(() => stack.stop());
  const client = await connect(stack.engine.wsUrl);
  const { session } = await client.ready;
  stack.model.enqueue(tool('run_command', { command: 'echo up; sleep 600' }));
  client.say('sleep');
  client.approve((await client.waitFor('tool:approval_required')).callId);
  await client.waitFor('tool:output');
  stack.engine.signal('SIGKILL');
  await stack.engine.exited;
  const left = await stack.containers(session);
  t.equal(left.length, 1, 'the container is left behind');
  await stack.engine.start();
  await removed(left[0]?.id ?? ''); // by the next start
  const back = await connect(stack.engine.wsUrl, { session, after: client.lastSeq });
  t.teardown(() => back.close());
  t.match(await back.turnEnd(1), { stopReason: 'interrupted' });
  stack.model.enqueue(text('fine'));
  t.match(await back.ask('again'), { stopReason: 'end_turn' });
  t.match(JSON.stringify(stack.model.requests.at(-1)!.body.messages), /may have run/);
  t.same(back.gaps(), []);
  t.same(stack.model.violations, []);
});
