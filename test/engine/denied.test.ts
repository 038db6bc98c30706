/** What the approval rules deny reaches no MCP server, whoever asks: a turn, HTTP, `/mcp`. Each refusal beside its allowed twin. */
import t from 'tap';
import { startMcpHttpServer } from '../helpers/mcp-http-server.js';
import { names, world } from '../helpers/mcp-world.js';
import { text, tool } from '../helpers/model-server.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const look = { description: 'Looks' };
// Denied as a whole, and denied for the contents of what it has.
const closed = await startMcpHttpServer({ rich: true, tools: { shut: look } });
t.teardown(() => closed.stop());
const half = await startMcpHttpServer({ rich: true });
t.teardown(() => half.stop());
const { engine, model, docs, until } = await world(
  t,
  { rich: true, tools: { look, erase: look } },
  {
    mcpServers: { closed: { url: closed.url }, half: { url: half.url } },
    approvals: {
      default: 'allow',
      rules: [
        { server: 'closed', action: 'deny' },
        { server: 'half', tool: '{get_prompt,read_resource}', action: 'deny' },
        { tool: 'erase', action: 'deny' },
        { server: 'docs', tool: 'read_resource', action: 'ask' },
      ],
    },
  },
);
for (const server of ['docs', 'closed', 'half']) await until(({ state }) => state === 'healthy', server);
await until((health) => names(health).includes('shut'), 'closed');
await until((health) => names(health).includes('look'));

const results = (request: number): string => JSON.stringify(model.requests[request]!.body.messages.at(-1));
const NOTES = 'test://notes';

async function askHttp(path: string, body?: object): Promise<{ status: number; json: unknown }> {
  const init = body && {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  };
  const response = await fetch(`${engine.url}/v1/mcp/${path}`, init);
  return { status: response.status, json: await response.json() };
}

async function askMcp(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const name = params['name'] ?? params['uri'];
  const answer = await fetch(`${engine.url}/mcp`, {
    method: 'POST',
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }),
  });
  return (await answer.json()) as Record<string, unknown>;
}

t.test('a turn: tools, and the resources of a server', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  const first = model.requests.length;
  model.enqueue(
    tool('shut'),
    tool('erase'),
    tool('look', { text: 'x' }),
    tool('read_resource', { server: 'closed', uri: NOTES }),
    tool('list_resources', { server: 'closed' }),
    tool('list_resources'),
    text('done'),
  );
  t.match(await client.ask('go'), { stopReason: 'end_turn' });
  for (const denied of [1, 2, 4, 5]) t.match(results(first + denied), /denied by the approval rules/);
  t.match(results(first + 3), /look: x/);
  t.match(results(first + 6), /docs.*test:\/\/notes/);
  t.notMatch(results(first + 6), /closed/);
  t.same([docs.calls, closed.calls], [['look'], []]);
});

t.test('a person who edits the arguments of a call is held by the rules too', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  const first = model.requests.length;
  model.enqueue(tool('read_resource', { server: 'docs', uri: NOTES }), text('done'));
  client.say('read');
  const { callId } = await client.waitFor('tool:approval_required');
  client.approve(callId, { args: { server: 'closed', uri: NOTES } });
  t.match(await client.waitFor('error'), { code: 'ERR_DENIED' });
  client.approve(callId, { args: { server: 'docs' } });
  t.match(await client.waitFor('error'), { code: 'ERR_TOOL_ARGS' });
  client.approve(callId, { args: { server: 'docs', uri: 'test://page/7' } });
  t.match(await client.turnEnd(), { stopReason: 'end_turn' });
  t.match(results(first + 1), /page \/7/);
});

t.test('HTTP: prompts and resources', async (t) => {
  const read = `resources/read?uri=${encodeURIComponent(NOTES)}`;
  const greet = { arguments: { name: 'Ada' } };
  const denied = { status: 403, json: { code: 'ERR_DENIED' } };
  for (const [path, body] of [['prompts'], ['prompts/greet', greet], ['resources'], [read]] as const) {
    t.match(await askHttp(`closed/${path}`, body), denied, path);
    t.match(await askHttp(`docs/${path}`, body), { status: 200 }, `${path}: what is asked for is the user's own act`);
  }
  for (const path of ['prompts', 'resources']) t.match(await askHttp(`half/${path}`), { status: 200 }, path);
  t.match(await askHttp('half/prompts/greet', greet), denied);
  t.match(await askHttp(`half/${read}`), denied);
});

t.test('/mcp: tools, prompts, resources and completions', async (t) => {
  const denied = { error: { code: -32_600, data: { code: 'ERR_DENIED' } } };

  const refused = { result: { isError: true, content: [{ text: /denied by the approval rules/ }] } };
  t.match(await askMcp('tools/call', { name: 'shut', arguments: {} }), refused);
  t.match(await askMcp('tools/call', { name: 'erase', arguments: {} }), refused);
  t.match(await askMcp('tools/call', { name: 'look', arguments: { text: 'y' } }), {
    result: { content: [{ text: 'look: y' }] },
  });

  const { result } = (await askMcp('prompts/list')) as { result: { prompts: { name: string }[] } };
  t.same(
    result.prompts.map(({ name }) => name),
    ['docs__greet', 'half__greet'],
  );
  const greet = { arguments: { name: 'Ada' } };
  t.match(await askMcp('prompts/get', { name: 'docs__greet', ...greet }), { result: { messages: [{}] } });
  t.match(await askMcp('prompts/get', { name: 'half__greet', ...greet }), denied);
  const completion = (name: string): Promise<Record<string, unknown>> =>
    askMcp('completion/complete', { ref: { type: 'ref/prompt', name }, argument: { name: 'name', value: 'A' } });
  t.match(await completion('docs__greet'), { result: { completion: { values: [] } } });
  t.match(await completion('half__greet'), denied);

  t.match(await askMcp('resources/read', { uri: NOTES }), { result: { contents: [{ text: 'remember the milk' }] } });
  t.match(await askMcp('resources/read', { uri: 'test://nowhere' }), denied, 'it may be where nobody may look');
  t.same([docs.calls, closed.calls], [['look', 'look'], []]);
});
