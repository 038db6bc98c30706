/** A server and a model that are kept for a group: whoever is in none of its groups finds nothing of them, on no way to them. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { dockerHost } from '../helpers/docker.js';
import { startEngine } from '../helpers/engine.js';
import { startMcpHttpServer } from '../helpers/mcp-http-server.js';
import { sent, type Health } from '../helpers/mcp-world.js';
import { startModelServer, text, tool } from '../helpers/model-server.js';
import { until } from '../helpers/until.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(300_000); // whole processes, on a machine that may be busy

const look = { description: 'Looks' };
const lab = await startMcpHttpServer({ rich: true, tools: { secret: look } });
t.teardown(() => lab.stop());
const open = await startMcpHttpServer({ tools: { look } });
t.teardown(() => open.stop());
const model = await startModelServer();
t.teardown(() => model.close());
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const engine = await startEngine({
  config: {
    auth: {
      tokens: [
        { user: 'ada', sha256: sha256('token-of-ada'), groups: ['research'] },
        { user: 'ada', sha256: sha256('token-of-ada-as-guest') },
        { user: 'bob', sha256: sha256('token-of-bob'), groups: ['Research', 'lab'], role: 'admin' },
      ],
    },
    agents: { threads: 1 },
    model: { name: 'small', allow: ['large'], groups: { large: ['research'] } },
    approvals: { default: 'allow' },
    mcp: { allowLoopback: true },
    mcpServers: { lab: { url: lab.url, groups: ['research'] }, open: { url: open.url } },
  },
  env: { DOCKER_HOST: dockerHost(), ANTHROPIC_API_KEY: 'sk-test', ANTHROPIC_BASE_URL: model.url },
});
t.teardown(() => engine.stop());

type Json = Record<string, unknown>;

async function ask(token: string, path: string, body?: object): Promise<{ status: number; json: Json }> {
  const response = await fetch(`${engine.url}${path}`, {
    headers: { authorization: `Bearer token-of-${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { method: 'POST', body: JSON.stringify(body) }),
  });
  return { status: response.status, json: (await response.json()) as Json };
}

async function askMcp(token: string, method: string, params: Json = {}): Promise<Json> {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const name = params['name'] ?? params['uri'];
  const answer = await fetch(`${engine.url}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer token-of-${token}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }),
  });
  return (await answer.json()) as Json;
}

const NOTES = 'test://notes';
const READ = `resources/read?uri=${encodeURIComponent(NOTES)}`;
/** Ada's other token shares all that is kept by user. */
const OTHERS = ['bob', 'ada-as-guest'];

async function serversOf(token: string): Promise<Health[]> {
  return (await ask(token, '/v1/mcp')).json['servers'] as Health[];
}

async function areThere(): Promise<boolean> {
  const seen = await serversOf('ada');
  return seen.length === 2 && seen.every(({ state, tools }) => state === 'healthy' && tools.length > 0);
}

t.before(async () => {
  await until('both servers are there', areThere, { timeoutMs: 120_000 });
});

t.test(
  'HTTP: the server is listed, read and asked by members; others get the answer of one that is not there',
  async (t) => {
    for (const path of ['', '/prompts', '/resources', `/${READ}`]) {
      t.match(await ask('ada', `/v1/mcp/lab${path}`), { status: 200 }, path);
    }
    for (const other of OTHERS) {
      t.same(
        (await serversOf(other)).map(({ name }) => name),
        ['open'],
      );
      for (const [path, body] of [
        [''],
        ['/prompts'],
        ['/prompts/greet', { arguments: {} }],
        ['/resources'],
        [`/${READ}`],
        ['/test', {}],
        ['/login', {}],
      ] as const) {
        const hidden = await ask(other, `/v1/mcp/lab${path}`, body);
        const nowhere = await ask(other, `/v1/mcp/nowhere${path}`, body);
        t.equal(hidden.status, 404, `${other} ${path}`);
        t.same(
          { ...hidden.json, requestId: '' },
          JSON.parse(JSON.stringify({ ...nowhere.json, requestId: '' }).replaceAll('nowhere', 'lab')),
          `${other} ${path}`,
        );
      }
    }
  },
);

t.test('/mcp: tools, prompts, resources and completions of the server are for members', async (t) => {
  const toolsOf = async (token: string): Promise<string[]> => {
    const { result } = (await askMcp(token, 'tools/list')) as { result: { tools: { name: string }[] } };
    return result.tools.map(({ name }) => name);
  };
  t.same(await toolsOf('ada'), ['secret', 'look']);
  t.match(await askMcp('ada', 'tools/call', { name: 'secret', arguments: { text: 'x' } }), {
    result: { content: [{ text: 'secret: x' }] },
  });
  t.match(await askMcp('ada', 'prompts/list'), { result: { prompts: [{ name: 'greet' }] } });
  t.match(await askMcp('ada', 'resources/read', { uri: NOTES }), { result: { contents: [{}] } });
  for (const other of OTHERS) {
    t.same(await toolsOf(other), ['look'], other);
    t.match(await askMcp(other, 'tools/call', { name: 'secret', arguments: { text: 'x' } }), {
      error: { code: -32_602, message: /Unknown tool/ },
    });
    t.match(await askMcp(other, 'prompts/list'), { result: { prompts: [] } });
    t.match(await askMcp(other, 'prompts/get', { name: 'greet', arguments: { name: 'x' } }), {
      error: { message: /Unknown prompt/ },
    });
    const ref = { type: 'ref/prompt', name: 'greet' };
    t.match(await askMcp(other, 'completion/complete', { ref, argument: { name: 'name', value: 'A' } }), {
      error: { message: /Unknown prompt/ },
    });
    t.match(await askMcp(other, 'resources/list'), { result: { resources: [] } });
    t.match(await askMcp(other, 'resources/read', { uri: NOTES }), { error: { code: -32_602 } });
  }
  t.same(lab.calls, ['secret']);
});

t.test('a turn has the tools of who has sent its message, and no other way to the server', async (t) => {
  const turnOf = async (token: string): Promise<{ tools: string[]; told: string }> => {
    const client = await connect(engine.wsUrl, { token: `token-of-${token}` });
    t.teardown(() => client.close());
    const first = model.requests.length;
    model.enqueue(
      tool('secret', { text: 'x' }),
      tool('read_resource', { server: 'lab', uri: NOTES }),
      tool('list_resources', { server: 'lab' }),
      text('done'),
    );
    t.match(await client.ask('go'), { stopReason: 'end_turn' });
    return { tools: sent(model, first), told: JSON.stringify(model.requests[first + 3]!.body.messages) };
  };
  const calls = lab.calls.length;
  const member = await turnOf('ada');
  t.ok(member.tools.includes('secret'));
  t.match(member.told, /secret: x.*remember the milk/);
  for (const other of OTHERS) {
    const { tools, told } = await turnOf(other);
    t.same(tools, ['look'], other);
    t.notMatch(told, /secret: x|remember the milk/);
  }
  t.equal(lab.calls.length, calls + 1);
});

t.test('an admin of no group pins the tools of the server, and a member without the role does not', async (t) => {
  const path = '/v1/admin/mcp/lab/pins';
  for (const user of ['ada', 'ada-as-guest']) {
    t.match(await ask(user, path), { status: 403, json: { code: 'ERR_FORBIDDEN' } }, user);
    t.match(await ask(user, path, {}), { status: 403, json: { code: 'ERR_FORBIDDEN' } }, user);
  }
  t.match(await ask('bob', path), { status: 200, json: { server: 'lab', differences: [] } });
});

t.test('a model is chosen by members, and a session of theirs answers them alone', async (t) => {
  const create = (token: string, body: object) => ask(token, '/v1/sessions', body);
  const made = await create('ada', { model: 'large' });
  t.match(made, { status: 201, json: { model: 'large' } });
  for (const other of OTHERS) {
    const hidden = await create(other, { model: 'large' });
    t.match(hidden, { status: 400, json: { code: 'ERR_MODEL_NOT_ALLOWED' } }, other);
    const nowhere = await create(other, { model: 'nowhere' });
    t.equal(hidden.json['detail'], String(nowhere.json['detail']).replace('nowhere', 'large'));
    t.match(await create(other, {}), { status: 201, json: { model: 'small' } });
  }
  const path = `/v1/sessions/${String(made.json['session'])}/messages`;
  const requests = model.requests.length;
  t.match(await ask('ada-as-guest', path, { text: 'hello' }), { json: { code: 'ERR_MODEL_NOT_ALLOWED' } });
  t.equal(model.requests.length, requests);
  model.enqueue(text('hi'));
  t.match(await ask('ada', path, { text: 'hello' }), { status: 200 });
});
