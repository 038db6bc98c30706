/** MCP servers that a reload adds, changes and takes away while people work: calls that run end on the server of before. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startEngine, type Engine } from '../helpers/engine.js';
import { startMcpHttpServer, type McpHttpServer, type McpHttpServerOptions } from '../helpers/mcp-http-server.js';
import { startModelServer, text, tool } from '../helpers/model-server.js';
import { deferred } from '../helpers/processes.js';
import { startRedis } from '../helpers/redis.js';
import { until } from '../helpers/until.js';
import { connect, type TestClient } from '../helpers/ws-client.js';
import { sdkV2 } from '../mcp-servers/programs.js';
import { isAlive } from '../workers/agent/mcp/command/command-bench.js';

t.setTimeout(600_000); // whole processes, on a machine that may be busy

const WAIT = { timeoutMs: 120_000 };
const BLOWS = { NODE_OPTIONS: `--import=${new URL('threads/preload.js', import.meta.url).href}` };

type Servers = Record<string, Record<string, unknown>>;
interface Answer {
  status: number;
  json: Record<string, unknown>;
}

const model = await startModelServer();
t.teardown(() => model.close());
const redis = await startRedis();
t.teardown(() => redis.stop());

/** The default limits are for machines that are not as busy as one that tests. */
const stack = {
  agents: { threads: 2, hangTimeoutMs: 30_000 },
  sandbox: { driver: 'process' },
  allowHostCommands: true,
};

class Bench {
  readonly engine: Engine;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  /** Two agent threads, no sandbox anywhere, and no server before the first reload. */
  static async start(env: Record<string, string> = {}): Promise<Bench> {
    const engine = await startEngine({
      config: {
        ...stack,
        approvals: { default: 'allow', rules: [{ tool: 'ask_first', action: 'ask' }] },
        mcp: { allowLoopback: true },
        mcpServers: {},
      },
      env: { DOCKER_HOST: '', REDIS_URL: redis.url, ANTHROPIC_API_KEY: 'sk-x', ANTHROPIC_BASE_URL: model.url, ...env },
    });
    t.teardown(() => engine.stop());
    return new Bench(engine);
  }

  async reload(mcpServers: Servers): Promise<Answer> {
    const { configPath, url } = this.engine;
    const config = JSON.parse(await readFile(configPath, 'utf8')) as object;
    await writeFile(configPath, JSON.stringify({ ...config, mcpServers }));
    const response = await fetch(`${url}/v1/admin/reload`, { method: 'POST' });
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  }

  async talk(t: Test): Promise<TestClient> {
    const client = await connect(this.engine.wsUrl);
    t.teardown(() => client.close());
    await client.ready;
    return client;
  }

  async health(server: string): Promise<{ status: number; state?: string; tools?: { name: string }[] }> {
    const response = await fetch(`${this.engine.url}/v1/mcp/${server}`);
    return { ...((await response.json()) as object), status: response.status };
  }

  /** Until /v1/mcp shows this tool of the server. */
  async listed(server: string, name: string): Promise<void> {
    const has = async (): Promise<boolean> =>
      (await this.health(server)).tools?.some((each) => each.name === name) === true;
    await until(`${server} has ${name}`, has, WAIT);
  }
}

async function docsServer(t: Test, options: McpHttpServerOptions): Promise<McpHttpServer> {
  const server = await startMcpHttpServer(options);
  t.teardown(() => server.stop());
  return server;
}

const LOOK = { tools: { look: { description: 'Looks' } } };

/** A tool that answers when the test says so. */
function gated(): { tools: McpHttpServerOptions['tools']; begun: Promise<void>; goOn: () => void } {
  const [begun, gate] = [deferred<void>(), deferred<void>()];
  const answer = async (): Promise<string> => {
    begun.resolve();
    await gate.promise;
    return 'ended there';
  };
  return { tools: { slow: { description: 'Waits', answer } }, begun: begun.promise, goOn: () => gate.resolve() };
}

/** The tools of the next request to the model. */
async function offered(client: TestClient): Promise<string[]> {
  model.enqueue(text('so'));
  await client.ask('what is there?', WAIT);
  return model.requests.at(-1)?.body.tools?.map(({ name }) => name) ?? [];
}

async function answerOf(client: TestClient, name: string, args: object = {}): Promise<string> {
  model.enqueue(tool(name, args), text('so'));
  client.say('go');
  const result = await client.waitFor('tool:result', WAIT);
  await client.turnEnd(undefined, WAIT);
  const [block] = result.content as { text?: string }[];
  return `${result.ok} ${block?.text}`;
}

const bench = await Bench.start(BLOWS);

t.test('a server that is added where there was none is there for sessions that are open', async (t) => {
  const client = await bench.talk(t);
  t.same(await offered(client), []);
  const docs = await docsServer(t, LOOK);
  t.match(await bench.reload({ docs: { url: docs.url }, run: { ...sdkV2() } }), {
    status: 200,
    json: { changed: { mcpServers: ['docs added', 'run added'] }, restart: [], warnings: [] },
  });
  await bench.listed('docs', 'look');
  await bench.listed('run', 'pid');
  t.equal(await answerOf(client, 'look', { text: 'x' }), 'true look: x');
  t.match(await answerOf(client, 'pid'), /^true \d+$/);
  t.same(client.gaps(), []);
});

t.test(
  'a call that runs when its server is removed ends with its result, and the next turn has no such tool',
  async (t) => {
    const { tools, begun, goOn } = gated();
    const docs = await docsServer(t, { tools: { ...tools, ...LOOK.tools } });
    const other = await docsServer(t, { tools: { stay: { description: 'Stays' } } });
    const servers = { docs: { url: docs.url }, other: { url: other.url } };
    await bench.reload(servers);
    await bench.listed('docs', 'slow');
    await bench.listed('other', 'stay');
    const client = await bench.talk(t);
    model.enqueue(tool('slow'), text('done'));
    client.say('go');
    await begun;
    t.match(await bench.reload({ other: servers.other }), {
      json: { changed: { mcpServers: ['docs removed'] }, restart: [] },
    });
    t.equal((await bench.health('docs')).status, 404);
    goOn();
    t.match(await client.waitFor('tool:result', WAIT), { ok: true, content: [{ text: 'ended there' }] });
    t.match(await client.turnEnd(undefined, WAIT), { stopReason: 'end_turn' });
    t.same(await offered(client), ['stay']);
    t.equal(await answerOf(client, 'stay', { text: 'x' }), 'true stay: x');
    t.same(client.gaps(), []);
  },
);

t.test('a call that waits for a yes when its server is removed ends with words', async (t) => {
  const docs = await docsServer(t, { tools: { ask_first: { description: 'Asks' } } });
  await bench.reload({ docs: { url: docs.url } });
  await bench.listed('docs', 'ask_first');
  const client = await bench.talk(t);
  model.enqueue(tool('ask_first'), text('so be it'));
  client.say('go');
  const asked = await client.waitFor('tool:approval_required', WAIT);
  await bench.reload({});
  client.approve(asked.callId);
  t.match(await client.waitFor('tool:denied', WAIT), { by: 'policy', reason: /server docs has been removed/ });
  t.match(await client.turnEnd(undefined, WAIT), { stopReason: 'end_turn' });
  t.match(JSON.stringify(model.requests.at(-1)!.body.messages.at(-1)), /server docs has been removed/);
  t.same(docs.calls, []);
});

t.test('at a changed address the running call ends on the old server and the next one runs on the new', async (t) => {
  const { tools, begun, goOn } = gated();
  const old = await docsServer(t, { tools: { ...tools, ...LOOK.tools } });
  const now = await docsServer(t, { tools: { ...LOOK.tools, fresh: { description: 'New' } } });
  await bench.reload({ docs: { url: old.url, headers: { 'x-key': 'old' } } });
  await bench.listed('docs', 'slow');
  const [busy, other] = [await bench.talk(t), await bench.talk(t)];
  model.enqueue(tool('slow'));
  busy.say('go');
  await begun;
  t.match(await bench.reload({ docs: { url: now.url, headers: { 'x-key': 'new' } } }), {
    json: { changed: { mcpServers: ['docs'] }, restart: [] },
  });
  await bench.listed('docs', 'fresh');
  t.equal(await answerOf(other, 'look', { text: 'x' }), 'true look: x');
  model.enqueue(text('done'));
  goOn();
  t.match(await busy.waitFor('tool:result', WAIT), { ok: true, content: [{ text: 'ended there' }] });
  await busy.turnEnd(undefined, WAIT);
  t.same([old.calls, now.calls], [['slow'], ['look']]);
  t.same([...new Set(now.headers.map((headers) => headers['x-key']))], ['new'], 'nothing of the old one goes there');
  t.same([...new Set(old.headers.map((headers) => headers['x-key']))], ['old']);
});

t.test('a changed command is started anew for the next call; one that is as before keeps its process', async (t) => {
  const shared = { scope: 'shared', ...sdkV2() };
  await bench.reload({ a: shared, b: shared });
  await bench.listed('a', 'pid');
  await bench.listed('b', 'pid');
  const [client, other] = [await bench.talk(t), await bench.talk(t)];
  // Each thread has a process of its own: these are of the client's thread.
  const pid = async (server: string): Promise<number> =>
    Number((await answerOf(client, `${server}__pid`)).split(' ')[1]);
  const [a, b] = [await pid('a'), await pid('b')];
  const file = join(bench.engine.dataDir, 'go');
  model.enqueue(tool('a__pid-after', { file }));
  client.say('wait');
  await until('the call runs', () => existsSync(`${file}.begun`), WAIT);
  t.match(await bench.reload({ a: { ...shared, env: { NEW: '1' } }, b: shared }), {
    json: { changed: { mcpServers: ['a'] }, restart: [] },
  });
  t.match(await answerOf(other, 'a__env'), /NEW/);
  t.ok(isAlive(a), 'its call runs');
  model.enqueue(text('done'));
  await writeFile(file, '');
  t.match(await client.waitFor('tool:result', WAIT), { ok: true, content: [{ text: String(a) }] });
  await client.turnEnd(undefined, WAIT);
  await until('the old process has ended', () => !isAlive(a), WAIT);
  t.not(await pid('a'), a);
  t.equal(await pid('b'), b);
});

t.test('a server that cannot be reached fails no reload; a definition that is wrong fails it whole', async (t) => {
  const docs = await docsServer(t, LOOK);
  const away = await docsServer(t, { tools: { back: { description: 'Is back' } } });
  await away.stop();
  const servers = { docs: { url: docs.url } };
  t.match(await bench.reload({ ...servers, away: { url: away.url } }), { status: 200 });
  await bench.listed('docs', 'look');
  t.same(await offered(await bench.talk(t)), ['look']);
  await away.start();
  await bench.listed('away', 'back');
  const wrong = await bench.reload({ other: { url: 'ftp://nowhere' }, more: { command: '' } });
  t.match(wrong, { status: 422, json: { problems: [{ path: /^mcpServers/ }] } });
  t.equal((await bench.health('docs')).state, 'healthy');
  t.equal((await bench.health('other')).status, 404);
  t.match(await bench.reload({ ...servers, box: { image: 'any' } }), {
    status: 200,
    json: { changed: { mcpServers: ['away removed', 'box added'] }, restart: [] },
  });
  const isWell = async (): Promise<boolean> => (await bench.health('box')).state === 'healthy';
  await until('what is wrong with the image is told', async () => !(await isWell()), WAIT);
});

t.test('two servers on one Redis have each what their own file says', async (t) => {
  const docs = await docsServer(t, LOOK);
  const other = await Bench.start();
  await bench.reload({});
  await other.reload({ docs: { url: docs.url } });
  await other.listed('docs', 'look');
  t.equal((await bench.health('docs')).status, 404);
  t.same(await offered(await other.talk(t)), ['look']);
  t.same(await offered(await bench.talk(t)), []);
});

t.test('a thread that stands still during a reload has the new servers when it runs again', async (t) => {
  const docs = await docsServer(t, LOOK);
  const clients = [await bench.talk(t), await bench.talk(t), await bench.talk(t), await bench.talk(t)];
  bench.engine.signal('SIGUSR2'); // the first thread; sessions of both are there
  t.match(await bench.reload({ docs: { url: docs.url } }), { status: 200 });
  await bench.listed('docs', 'look');
  for (const client of clients) {
    t.equal(await answerOf(client, 'look', { text: 'x' }), 'true look: x');
    t.same(client.gaps(), []);
  }
});
