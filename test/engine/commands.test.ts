import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { RECORD_FILE } from '../../src/shared/process-record.js';
import { text, tool } from '../helpers/model-server.js';
import { startStack } from '../helpers/stack.js';
import { connect, type TestClient } from '../helpers/ws-client.js';
import { inside, makeNodeImage } from '../mcp-servers/node-image.js';
import { sdkV2 } from '../mcp-servers/programs.js';
import { isAlive } from '../workers/agent/mcp/command/command-bench.js';
import { until } from '../helpers/until.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const image = await makeNodeImage('v1');
t.teardown(() => image.remove());
const stack = await startStack({
  config: {
    allowHostCommands: true,
    agents: { threads: 1 },
    approvals: { default: 'allow' },
    mcp: { toolNames: 'always' },
    mcpServers: {
      box: { image: image.tag },
      aside: { command: 'node', args: [inside('v2')], sandbox: 'box' },
      host: sdkV2(),
      all: { ...sdkV2(), scope: 'shared' },
    },
  },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

async function toolsOf(server: string): Promise<string[]> {
  const response = await fetch(`${engine.url}/v1/mcp`);
  const { servers } = (await response.json()) as { servers: { name: string; tools: { name: string }[] }[] };
  return servers.find(({ name }) => name === server)?.tools.map(({ name }) => name) ?? [];
}

async function listed(): Promise<void> {
  for (const server of ['aside', 'host', 'all']) {
    await until(`${server} is listed`, async () => (await toolsOf(server)).length > 0, { timeoutMs: 30_000 });
  }
}

async function talker(t: Test): Promise<TestClient> {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  await client.ready;
  return client;
}

async function answerOf(client: TestClient, name: string, args: object = {}): Promise<string> {
  model.enqueue(tool(name, args), text('so'));
  client.say('go');
  const result = await client.waitFor('tool:result', { timeoutMs: 30_000 });
  await client.turnEnd();
  const [block] = result.content as { text?: string }[];
  return `${result.ok} ${block?.text}`;
}

/** The tools of the next request to the model. */
async function offered(client: TestClient): Promise<string[]> {
  model.enqueue(text('so'));
  await client.ask('what is there');
  return model.requests.at(-1)?.body.tools?.map(({ name }) => name) ?? [];
}

/** Of processes on the host that are there. */
function pids(): number[] {
  const root = join(engine.dataDir, 'commands', '0');
  if (!existsSync(root)) return [];
  return readdirSync(root).map((folder) => {
    return (JSON.parse(readFileSync(join(root, folder, RECORD_FILE), 'utf8')) as { pid: number }).pid;
  });
}

void t.test('commands on the host, shared, and in another server’s sandbox are listed and called', async (t) => {
  await listed();
  const client = await talker(t);
  const { session } = await client.ready;
  t.equal(await answerOf(client, 'aside__echo', { text: 'a' }), 'true a');
  t.equal(await answerOf(client, 'box__echo', { text: 'b' }), 'true b');
  t.equal((await stack.leasedTo(session)).length, 1, 'one sandbox for both');
  t.equal(await answerOf(client, 'host__echo', { text: 'c' }), 'true c');
  const other = await talker(t);
  t.equal(await answerOf(client, 'all__pid'), await answerOf(other, 'all__pid'));
  t.not(await answerOf(client, 'host__pid'), await answerOf(other, 'host__pid'));
});

void t.test('what a session’s own server adds is there in its next round, until that server ends', async (t) => {
  await listed();
  const client = await talker(t);
  const other = await talker(t);
  for (const server of ['box', 'host']) {
    model.enqueue(tool(`${server}__more`), tool(`${server}__extra`), text('so'));
    client.say('go');
    await client.turnEnd();
    t.match(client.events.filter(({ type }) => type === 'tool:result').slice(-2), [{ ok: true }, { ok: true }], server);
    t.ok((await offered(client)).includes(`${server}__extra`));
    t.notOk((await offered(other)).includes(`${server}__extra`));
    await answerOf(client, `${server}__exit`, { code: 0 });
    t.notOk((await offered(client)).includes(`${server}__extra`));
  }
  t.same(model.violations, []);
});

void t.test('a session that is deleted takes its processes with it, and not the shared one', async (t) => {
  const client = await talker(t);
  const { session } = await client.ready;
  const pid = Number((await answerOf(client, 'host__pid')).split(' ')[1]);
  const shared = Number((await answerOf(client, 'all__pid')).split(' ')[1]);
  await fetch(`${engine.url}/v1/sessions/${session}`, { method: 'DELETE' });
  await until('its process has gone', () => !isAlive(pid), { timeoutMs: 10_000 });
  t.ok(isAlive(shared));
});

void t.test('what a server that was killed leaves on the host is ended at the latest by the next start', async (t) => {
  const client = await talker(t);
  await answerOf(client, 'host__stubborn');
  const left = pids();
  t.ok(left.length >= 2);
  await engine.restart({ signal: 'SIGKILL' });
  await listed();
  for (const pid of left) await until(`${pid} has gone`, () => !isAlive(pid), { timeoutMs: 10_000 });
});

void t.test('a stop leaves no process', async (t) => {
  const client = await talker(t);
  await answerOf(client, 'host__pid');
  const left = pids();
  t.ok(left.length >= 2);
  await engine.stop();
  for (const pid of left) t.notOk(isAlive(pid));
  t.same(model.violations, []);
});
