import t, { type Test } from 'tap';
import { docker } from '../helpers/docker.js';
import { startStack } from '../helpers/stack.js';
import { text, tool } from '../helpers/model-server.js';
import { until } from '../helpers/until.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

const stack = await startStack({
  config: {
    sandbox: { toolTimeoutMs: 4_000 },
    approvals: { rules: [{ server: 'workspace', tool: '*', action: 'allow' }] },
  },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

async function talker(t: Test): Promise<TestClient> {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  await client.ready;
  return client;
}

t.test('a tool that prints 100 MB: the person and the model get head and tail, the server stays small', async (t) => {
  const client = await talker(t);
  const before = await engine.rssBytes();
  model.enqueue(tool('run_command', { command: 'head -c 100000000 /dev/zero | tr "\\0" "x"' }), text('much'));
  client.say('print');
  const result = await client.waitFor('tool:result', { timeoutMs: 30_000 });
  t.ok(JSON.stringify(result).length < 400_000, 'bounded');
  await client.turnEnd();
  const grown = (await engine.rssBytes()) - before;
  t.ok(grown < 80 * 2 ** 20, `RSS grew by ${Math.round(grown / 2 ** 20)} MiB`);
  t.same(client.gaps(), []);
});

t.test('a tool that never ends is ended at its deadline, and the model is told', async (t) => {
  const client = await talker(t);
  model.enqueue(tool('run_command', { command: 'sleep 1000', timeout_ms: 600_000 }), text('it hung'));
  client.say('sleep');
  t.match(await client.waitFor('tool:result', { timeoutMs: 20_000 }), { ok: false });
  t.match(await client.turnEnd(), { stopReason: 'end_turn' });
});

t.test('a container that is killed in the middle is told, and the next call gets a new one', async (t) => {
  const client = await talker(t);
  const { session } = await client.ready;
  model.enqueue(tool('run_command', { command: 'echo up; sleep 1000' }), text('oh'));
  client.say('sleep');
  await client.waitFor('tool:output');
  const [container] = await stack.leasedTo(session);
  await docker().getContainer(container!.id).kill();
  const result = await client.waitFor('tool:result');
  t.equal(result.ok, false);
  t.match(JSON.stringify(result.content), 'ERR_SANDBOX');
  await client.turnEnd();
  model.enqueue(tool('run_command', { command: 'echo again' }), text('fine'));
  client.say('again');
  t.match(await client.waitFor('tool:result'), { ok: true });
  await client.turnEnd();
  // The dead one is removed in the background.
  const left = async (): Promise<boolean> => (await stack.leasedTo(session)).length === 1;
  await until('one container is left', left, { timeoutMs: 30_000 });
});

t.test('a path out of the workspace is refused inside the sandbox', async (t) => {
  const client = await talker(t);
  model.enqueue(tool('read_file', { path: '../etc/passwd' }), text('no'));
  client.say('read');
  t.match(await client.waitFor('tool:result'), { ok: false });
  await client.turnEnd();
});

t.test('at the end the model’s API had nothing to refuse', async (t) => {
  t.same(model.violations, []);
});
