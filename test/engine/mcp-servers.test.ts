import t from 'tap';
import { names, world } from '../helpers/mcp-world.js';
import { text, tool } from '../helpers/model-server.js';
import { connect } from '../helpers/ws-client.js';
import { fetchMetrics } from '../helpers/metrics.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

t.test(
  'resources are read by the model through two small tools, under the rules of the server that has them',
  async (t) => {
    const rules = [
      { server: '@fairlead', action: 'allow' },
      { server: 'docs', tool: 'read_resource', action: 'ask' },
    ];
    const { engine, model, until } = await world(t, { rich: true }, { approvals: { rules } });
    await until(({ state }) => state === 'healthy');
    const client = await connect(engine.wsUrl);
    t.teardown(() => client.close());
    model.enqueue(tool('list_resources'), tool('read_resource', { server: 'docs', uri: 'test://notes' }), text('milk'));
    client.say('what do the notes say?');
    const asked = await client.waitFor('tool:approval_required');
    t.match(asked, { server: '@fairlead', name: 'read_resource', args: { server: 'docs', uri: 'test://notes' } });
    client.approve(asked.callId);
    await client.turnEnd();
    t.match(JSON.stringify(model.requests[1]!.body.messages.at(-1)), /test:\/\/notes.*test:\/\/page/);
    t.match(JSON.stringify(model.requests[2]!.body.messages.at(-1)), /remember the milk/);
  },
);

t.test('prompts and resources over HTTP', async (t) => {
  const { engine, until } = await world(t, { rich: true });
  await until(({ state }) => state === 'healthy');
  const get = async (path: string, body?: object): Promise<{ status: number; json: unknown }> => {
    const init = body && {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    };
    const response = await fetch(`${engine.url}/v1/mcp/${path}`, init);
    return { status: response.status, json: await response.json() };
  };
  t.match(await get('docs/prompts'), { status: 200, json: { prompts: [{ name: 'greet' }] } });
  t.match(await get('docs/prompts/greet', { arguments: { name: 'Ada' } }), {
    status: 200,
    json: { messages: [{ content: { text: 'Please greet Ada.' } }] },
  });
  t.match(await get('docs/resources'), {
    status: 200,
    json: { resources: [{ uri: 'test://notes' }], resourceTemplates: [{ uriTemplate: 'test://page/{number}' }] },
  });
  const read = `docs/resources/read?uri=${encodeURIComponent('test://notes')}`;
  t.match(await get(read), { status: 200, json: { contents: [{ text: 'remember the milk' }] } });
  t.match(await get('docs/resources/read'), { status: 400, json: { code: 'ERR_BAD_FRAME' } });
  t.match(await get('docs/prompts/none', {}), { status: 502, json: { code: 'ERR_MCP' } });
  t.match(await get('nobody/prompts'), { status: 404, json: { code: 'ERR_NOT_FOUND' } });
  t.match(await get(`${read}&session=AAAAAAAAAAAAAAAAAAAAAAAA`), {
    status: 404,
    json: { code: 'ERR_NO_SUCH_SESSION' },
  });
  t.match(await get('docs/test', {}), { status: 200, json: { name: 'docs', latencyMs: Number } });
  const { servers } = (await get('').catch(() => ({ json: {} }))).json as { servers?: unknown[] };
  t.equal(servers, undefined, 'a path with a slash at its end is none');
});

t.test('looking at a server in a sandbox, or testing it, starts none', async (t) => {
  const box = { box: { image: 'fairlead/workspace' } };
  const { engine, health, until } = await world(t, { tools: {} }, { mcpServers: box });
  await until(({ state }) => state === 'healthy');
  const known = await health('box');
  t.match(known, { kind: 'image', state: 'healthy' });
  t.ok(names(known).includes('list_files'));
  const status = async (path: string, init?: RequestInit): Promise<number> =>
    (await fetch(`${engine.url}/v1/mcp${path}`, init)).status;
  t.equal(await status(''), 200);
  t.equal(await status('/box/test', { method: 'POST' }), 400);
  t.equal(await status('/box/prompts'), 400, 'without a session it has no sandbox to ask');
  t.notOk(engine.logs.some(({ msg }) => msg === 'sandbox leased'));
});

t.test('how the servers are, and what was asked of them, is in the metrics', async (t) => {
  const { engine, model, untilListed } = await world(t, { tools: { look: { description: 'Looks' } } });
  await untilListed('healthy');
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  model.enqueue(tool('look'), text('seen'));
  await client.ask('look');
  t.match(await fetchMetrics(engine.url), 'fairlead_mcp_requests_total{server="docs",ok="true"}');
});
