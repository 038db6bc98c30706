/** `image` servers that a reload adds, changes and takes away: sandboxes end with their last calls, and their files stay. */
import { readFile, writeFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { commandUser, docker } from '../helpers/docker.js';
import { text, tool } from '../helpers/model-server.js';
import { startStack } from '../helpers/stack.js';
import { until } from '../helpers/until.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

t.setTimeout(600_000); // whole processes and containers, on a machine that may be busy

const WAIT = { timeoutMs: 120_000 };
const IMAGE = { image: 'fairlead/workspace' };

const stack = await startStack({
  config: { agents: { threads: 1 }, approvals: { default: 'allow' }, sandbox: { pool: { min: 1 } } },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

async function reload(mcpServers: Record<string, object>): Promise<Record<string, unknown>> {
  const config = JSON.parse(await readFile(engine.configPath, 'utf8')) as object;
  await writeFile(engine.configPath, JSON.stringify({ ...config, mcpServers }));
  return (await (await fetch(`${engine.url}/v1/admin/reload`, { method: 'POST' })).json()) as Record<string, unknown>;
}

async function talk(t: Test): Promise<TestClient> {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  await client.ready;
  return client;
}

async function run(client: TestClient, command: string): Promise<string> {
  model.enqueue(tool('run_command', { command }), text('so'));
  client.say('go');
  const result = await client.waitFor('tool:result', WAIT);
  await client.turnEnd(undefined, WAIT);
  return JSON.stringify(result.content);
}

async function touch(container: string, file: string): Promise<void> {
  const exec = await docker()
    .getContainer(container)
    .exec({ Cmd: ['touch', file], User: await commandUser(container) });
  await exec.start({ Detach: true });
}

async function offered(client: TestClient): Promise<string[]> {
  model.enqueue(text('so'));
  await client.ask('what is there?', WAIT);
  return model.requests.at(-1)?.body.tools?.map(({ name }) => name) ?? [];
}

/** Sandboxes that no session has had. */
async function warmOnes(): Promise<string[]> {
  const leased = engine.logs.flatMap((line) => (line.msg === 'sandbox leased' ? [line['sandbox']] : []));
  return (await stack.allContainers()).flatMap(({ id }) => (leased.includes(id) ? [] : [id]));
}

t.test('a call ends in the sandbox of before; the next one has a sandbox of now, with the files', async (t) => {
  const client = await talk(t);
  const { session } = await client.ready;
  t.match(await run(client, 'echo kept > file; echo "[$NEW]"'), /\[\]/);
  const [before] = await stack.leasedTo(session);
  await until('one is warm', async () => (await warmOnes()).length === 1, WAIT);
  const [warm] = await warmOnes();
  model.enqueue(tool('run_command', { command: 'echo begun; while [ ! -e go ]; do sleep 0.1; done; echo "[$NEW]"' }));
  client.say('wait');
  await client.waitFor((event) => event.type === 'tool:output' && event.text.includes('begun'), WAIT);
  t.match(await reload({ workspace: { ...IMAGE, env: { NEW: '1' } } }), {
    changed: { mcpServers: ['workspace'] },
    restart: [],
    warnings: [],
  });
  model.enqueue(text('done'));
  await touch(before!.id, '/workspace/go');
  t.match(JSON.stringify(await client.waitFor('tool:result', WAIT)), /\[\]/, 'it has ended where it began');
  await client.turnEnd(undefined, WAIT);
  t.match(await run(client, 'echo "[$NEW] $(cat file)"'), /\[1\] kept/);
  t.notOk((await stack.containers(session)).some(({ id }) => id === before!.id));
  const isGone = async (): Promise<boolean> => !(await warmOnes()).includes(warm!);
  await until('the warm sandbox of before is gone', isGone, WAIT);
});

t.test('the sandboxes of a server that is removed end, and their files are there when it comes back', async (t) => {
  await reload({ workspace: IMAGE });
  const client = await talk(t);
  const { session } = await client.ready;
  await run(client, 'echo kept > file');
  t.match(await reload({}), { changed: { mcpServers: ['workspace removed'] }, restart: [] });
  t.same(await offered(client), []);
  await until('no sandbox is left', async () => (await stack.allContainers()).length === 0, WAIT);
  t.equal((await stack.containers(session)).length, 0);
  t.match(await reload({ workspace: IMAGE }), { changed: { mcpServers: ['workspace added'] } });
  await until('its tools are there', async () => (await offered(client)).includes('run_command'), WAIT);
  t.match(await run(client, 'cat file'), /kept/);
});
