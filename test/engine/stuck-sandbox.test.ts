import t from 'tap';
import { startCommandStack } from '../helpers/commands.js';
import { serverPid } from '../helpers/inside.js';
import { tool } from '../helpers/model-server.js';

const stack = await startCommandStack(
  { agents: { threads: 1, spare: false }, mcp: { silenceMs: 3_000 }, sandbox: { pids: 64 } },
  (said) => (said === 'restart it' ? tool('restart_sandbox') : undefined),
);
t.teardown(() => stack.stop());
const { engine, talker, run } = stack;

t.test('a stopped server costs seconds and no file: the call says that its sandbox was replaced', async (t) => {
  const client = await talker(t);
  t.match(await run(client, 'echo kept > kept.txt; echo ok'), 'ok');
  const [container] = await stack.leasedTo((await client.ready).session);
  const stuck = run(client, 'sleep 600');
  await client.waitFor('tool:start');
  process.kill(await serverPid(container!.id), 'SIGSTOP');
  t.match(await stuck, /does not answer; .*the next call gets a fresh one with/);
  t.match(await run(client, 'cat kept.txt'), 'kept');
});

t.test('a sandbox whose processes are at their limit is saved and restarted when its user wants it', async (t) => {
  const client = await talker(t);
  const { session } = await client.ready;
  await run(client, 'echo kept > kept.txt');
  const [before] = await stack.leasedTo(session);
  await run(client, '(while :; do (sleep 300 &) 2>/dev/null || sleep 0.01; done) >/dev/null 2>&1 & sleep 2; echo full');
  const response = await fetch(`${engine.url}/v1/sessions/${session}/sandbox/restart`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  t.equal(response.status, 200, await response.clone().text());
  t.same(await response.json(), { session, restarted: 1 });
  t.match(await run(client, 'cat kept.txt'), 'kept');
  const left = await stack.containers(session);
  t.notOk(left.some(({ id }) => id === before?.id));
});

t.test('the model can ask for a restart too, and its user is asked like for all tools', async (t) => {
  const client = await talker(t);
  const { session } = await client.ready;
  await run(client, 'echo kept > kept.txt');
  const [before] = await stack.leasedTo(session);
  client.say('restart it');
  const asked = await client.waitFor('tool:approval_required');
  t.match(asked, { name: 'restart_sandbox', server: '@fairlead' });
  client.approve(asked.callId);
  t.match(await client.waitFor('tool:result', { timeoutMs: 60_000 }), { ok: true });
  await client.turnEnd();
  t.match(await run(client, 'cat kept.txt'), 'kept');
  t.notOk((await stack.containers(session)).some(({ id }) => id === before?.id));
});
