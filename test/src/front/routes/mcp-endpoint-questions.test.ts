/** What a server asks in the middle of a client's call, across requests of the newer era; and what else it has beside tools. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createHash } from 'node:crypto';
import t from 'tap';
import { startFixtureServer } from '../../../conformance/server/fixture-server.js';
import { startEngine } from '../../../helpers/engine.js';
import { deferred } from '../../../helpers/processes.js';

const TOKENS = { ann: 'token-of-ann', bob: 'token-of-bob' };
const fixture = await startFixtureServer();
t.teardown(() => fixture.close());
const url = `${fixture.url}/mcp`;
const engine = await startEngine({
  config: {
    auth: {
      tokens: Object.entries(TOKENS).map(([user, token]) => ({
        user,
        sha256: createHash('sha256').update(token).digest('hex'),
      })),
    },
    approvals: { rules: [{ tool: 'test_simple_text', action: 'ask' }, { action: 'allow' }] },
    mcp: { allowLoopback: true },
    mcpServers: {
      one: { url, type: 'http', sampling: { maxTokens: 20, maxPerCall: 1 }, tools: { deny: ['test_image_content'] } },
      two: { url, type: 'http', tools: { allow: ['test_image_content', 'test_sampling'] } },
    },
  },
});
t.teardown(() => engine.stop());

interface Answer {
  result?: {
    resultType?: string;
    inputRequests?: Record<string, { method: string; params: Record<string, unknown> }>;
    requestState?: string;
    content?: { text?: string }[];
    isError?: boolean;
    tools?: { name: string }[];
    prompts?: { name: string }[];
  };
  error?: { code: number; message: string; data?: unknown };
}

async function ask(
  method: string,
  params: Record<string, unknown>,
  { token = TOKENS.ann, capabilities = { elicitation: { form: {} }, sampling: {} }, session = '' } = {},
): Promise<Answer & { status: number }> {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  };
  const { name } = params;
  const answer = await fetch(`${engine.url}/mcp${session && `?session=${session}`}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }),
  });
  return { status: answer.status, ...((await answer.json()) as Answer) };
}

const call = (name: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  name,
  arguments: {},
  ...more,
});
const accept = (content: object): object => ({ action: 'accept', content });

/** The servers are listed after the start, and not waited for. */
async function untilListed(): Promise<string[]> {
  for (;;) {
    const { result } = await ask('tools/list', {});
    const names = (result?.tools ?? []).map(({ name }) => name);
    if (names.includes('one__test_sampling') && names.includes('test_image_content')) return names;
    await engine.waitForReadiness(200);
  }
}

t.test('tools of all servers, with the server’s name where two have the same', async (t) => {
  const names = await untilListed();
  t.ok(names.includes('two__test_sampling'));
  t.ok(names.includes('test_simple_text'));
  const { result } = await ask('prompts/list', {});
  const prompts = (result?.prompts ?? []).map(({ name }) => name);
  t.ok(prompts.includes('one__test_simple_prompt') && prompts.includes('two__test_simple_prompt'), prompts.join());
  t.match(await ask('prompts/get', { name: 'two__test_simple_prompt' }), { result: { messages: [{}] } });
  t.match(await ask('prompts/get', { name: 'three__test_simple_prompt' }), { error: { code: -32_602 } });
});

t.test('an answer is for the call that asked: not for another’s, not with other arguments, not twice', async (t) => {
  const first = await ask('tools/call', call('test_input_required_result_elicitation'));
  t.match(first, { status: 200, result: { resultType: 'input_required', inputRequests: { user_name: {} } } });
  const requestState = first.result?.requestState;
  const inputResponses = { user_name: accept({ name: 'Ann' }) };
  const again = { inputResponses, requestState };
  const refused = { error: { code: -32_602, message: 'Invalid or expired requestState' } };
  const name = 'test_input_required_result_elicitation';
  t.match(await ask('tools/call', call(name, again), { token: TOKENS.bob }), refused, 'another user');
  t.match(await ask('tools/call', call('test_input_required_result_request_state', again)), refused, 'another tool');
  t.match(await ask('tools/call', { ...call(name, again), arguments: { more: 1 } }), refused, 'other arguments');
  t.match(
    await ask('tools/call', call(name, { ...again, requestState: `${requestState}x` })),
    refused,
    'tampered with',
  );
  t.match(await ask('prompts/get', { name, ...again }), { error: { code: -32_602 } }, 'another method');
  const done = await ask('tools/call', call(name, again));
  t.match(done.result?.content?.[0]?.text, /Hello.*Ann/);
  t.match(await ask('tools/call', call(name, again)), refused, 'twice');
});

t.test('a deleted session ends the calls that wait in it', async (t) => {
  const headers = { authorization: `Bearer ${TOKENS.ann}`, 'content-type': 'application/json' };
  const made = await fetch(`${engine.url}/v1/sessions`, { method: 'POST', headers, body: '{}' });
  const { session } = (await made.json()) as { session: string };
  const name = 'test_input_required_result_elicitation';
  const first = await ask('tools/call', call(name), { session });
  const again = { inputResponses: { user_name: accept({ name: 'Ann' }) }, requestState: first.result?.requestState };
  t.match(await ask('tools/call', call(name, again)), { error: { code: -32_602 } }, 'in the user’s own session');
  t.equal((await fetch(`${engine.url}/v1/sessions/${session}`, { method: 'DELETE', headers })).status, 204);
  t.equal((await ask('tools/call', call(name, again), { session })).status, 404);
});

t.test('an approval needs the sealed question’s answer: nothing that came before it counts', async (t) => {
  const early = { 'fairlead-1': accept({}), approval: accept({}) };
  const first = await ask('tools/call', call('test_simple_text', { inputResponses: early }));
  t.equal(first.result?.resultType, 'input_required');
  const [[key, question] = ['', undefined]] = Object.entries(first.result?.inputRequests ?? {});
  t.match(question, { method: 'elicitation/create', params: { message: /Allow one\/test_simple_text/ } });
  const { requestState } = first.result ?? {};
  const done = await ask(
    'tools/call',
    call('test_simple_text', { inputResponses: { [key]: accept({}) }, requestState }),
  );
  t.match(done.result, { content: [{ text: /simple text response/ }] });
  const cannot = await ask('tools/call', call('test_simple_text'), { capabilities: {} as never });
  t.match(cannot.result, { isError: true, content: [{ text: /The user must allow it/ }] });
});

t.test(
  'the client’s model: within the configured limits, only where it is configured and the client has one',
  async (t) => {
    const params = { name: 'one__test_sampling', arguments: { prompt: 'hello' } };
    const first = await ask('tools/call', params);
    t.match(first.result?.inputRequests?.['answer'], { method: 'sampling/createMessage', params: { maxTokens: 20 } });
    const message = { role: 'assistant', model: 'theirs', content: { type: 'text', text: 'hi' } };
    const { requestState } = first.result ?? {};
    const done = await ask('tools/call', { ...params, inputResponses: { answer: message }, requestState });
    t.match(done.result?.content?.[0]?.text, /hi/);
    const without = await ask('tools/call', params, { capabilities: { elicitation: {} } as never });
    t.match(without, { status: 400, error: { code: -32_021, data: { requiredCapabilities: { sampling: {} } } } });
    const other = await ask('tools/call', { ...params, name: 'two__test_sampling' });
    t.match(other.result, { isError: true }, 'this server may not');
  },
);

t.test('an answer that does not fit its form is asked for again with the reason, then refused', async (t) => {
  const name = 'test_input_required_result_elicitation';
  const inputResponses = { user_name: accept({ name: 5 }) };
  let answer = await ask('tools/call', call(name));
  for (const _time of [1, 2]) {
    const { requestState } = answer.result ?? {};
    const before = requestState;
    answer = await ask('tools/call', call(name, { inputResponses, requestState }));
    t.match(answer.result, {
      resultType: 'input_required',
      inputRequests: { user_name: { params: { message: /^\[The last answer does not fit the form: .*name/ } } },
    });
    t.not(answer.result?.requestState, before);
  }
  const { requestState } = answer.result ?? {};
  const refused = await ask('tools/call', call(name, { inputResponses, requestState }));
  t.match(refused.error, { code: -32_602, message: /of one does not fit its form: .*name/ });
});

t.test('the legacy era: a client hears when a resource that it watches changes', async (t) => {
  const requestInit = { headers: { authorization: `Bearer ${TOKENS.ann}` } };
  const client = new Client({ name: 'watcher', version: '1' });
  const updated = deferred<string>();
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => updated.resolve(params.uri));
  await client.connect(new StreamableHTTPClientTransport(new URL(`${engine.url}/mcp`), { requestInit }));
  t.teardown(() => client.close());
  const uri = 'test://watched-resource';
  await client.subscribeResource({ uri });
  await client.callTool({ name: 'test_trigger_resource_update', arguments: {} });
  t.equal(await updated.promise, uri);
  await client.unsubscribeResource({ uri });
});

t.test('the modern era: a client that listens hears that the tools have changed', async (t) => {
  const requestInit = { headers: { authorization: `Bearer ${TOKENS.ann}` } };
  const client = new Client(
    { name: 'listener', version: '1' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  );
  const changed = deferred<void>();
  client.setNotificationHandler('notifications/tools/list_changed', () => changed.resolve());
  await client.connect(new StreamableHTTPClientTransport(new URL(`${engine.url}/mcp`), { requestInit }));
  t.teardown(() => client.close());
  const subscription = await client.listen({ toolsListChanged: true });
  t.teardown(() => subscription.close());
  await client.callTool({ name: 'test_trigger_tool_change', arguments: {} });
  await changed.promise;
  const { tools } = await client.listTools();
  t.ok(tools.some(({ name }) => name === 'changed_0'));
});
