/** A session's sandboxed tools for MCP clients: a whole engine, and the SDK's clients. */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { startStack } from '../../../helpers/stack.js';
import { connectMcp, KINDS, type ConnectOptions, type Kind, type McpClient } from './mcp-clients.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const TOKENS = { ann: 'token-of-ann', bob: 'token-of-bob' };
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');

const stack = await startStack({
  config: {
    auth: { tokens: Object.entries(TOKENS).map(([user, token]) => ({ user, sha256: sha256(token) })) },
    approvals: {
      rules: [
        { tool: 'write_file', action: 'ask' },
        { tool: 'search_files', action: 'deny' },
        { tool: '*', action: 'allow' },
      ],
    },
    limits: { maxFrameBytes: 100_000 },
  },
});
t.teardown(() => stack.stop());
const { engine } = stack;

async function connect(t: Test, kind: Kind, options: ConnectOptions = {}): Promise<McpClient> {
  const client = await connectMcp(kind, engine.url, { token: TOKENS.ann, ...options });
  t.teardown(() => client.close());
  return client;
}

const headers = (token: string, more: Record<string, string> = {}): Record<string, string> => ({
  authorization: `Bearer ${token}`,
  accept: 'application/json, text/event-stream',
  'content-type': 'application/json',
  ...more,
});

const rpc = (method: string, params: object = {}, id = 1): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params });

/** A request of the newer era, as bytes. */
function modern(method: string, params: Record<string, unknown>): { headers: Record<string, string>; body: string } {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const { name } = params;
  return {
    headers: {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
    },
    body: rpc(method, { ...params, _meta }),
  };
}

/** Asks in the client's sandbox until this process is not there any more. */
async function untilGone(client: McpClient, process: string): Promise<void> {
  // A pattern that does not find itself.
  const pattern = `[${process[0]}]${process.slice(1)}`;
  for (;;) {
    const { text } = await client.callTool('run_command', { command: `pgrep -f '${pattern}' || echo gone` });
    if (text.includes('gone')) return;
    await delay(20);
  }
}

for (const kind of KINDS) {
  t.test(`${kind}: the sandbox's tools are listed whole, and called`, async (t) => {
    const client = await connect(t, kind);
    const tools = await client.listTools();
    const names = tools.map(({ name }) => name);
    t.ok(names.includes('run_command') && names.includes('read_file'), names.join());
    t.match(tools.find(({ name }) => name === 'read_file')?.annotations, { readOnlyHint: true });
    const seen: string[] = [];
    const result = await client.callTool(
      'run_command',
      { command: 'echo one; echo two' },
      { onProgress: (message) => seen.push(message) },
    );
    t.equal(result.isError, false);
    t.match(result.text, /one\ntwo/);
    t.match(seen.join(''), /one/, 'what it prints comes while it runs');
  });

  t.test(`${kind}: a tool that is asked for runs after a yes, and does not after a no`, async (t) => {
    const asked: string[] = [];
    let action: 'accept' | 'decline' | 'cancel' = 'accept';
    const client = await connect(t, kind, {
      onElicit: (message) => {
        asked.push(message);
        return { action };
      },
    });
    const path = `${kind.replace(' ', '-')}.txt`;
    t.equal((await client.callTool('write_file', { path, content: 'yes' })).isError, false);
    t.match(asked, [/Allow workspace\/write_file with .*"content": "yes"/s]);
    action = 'decline';
    const refused = await client.callTool('write_file', { path, content: 'no' });
    t.match(refused, { isError: true, text: /The user denied this call/ });
    action = 'cancel';
    t.match(await client.callTool('write_file', { path, content: 'no' }), { isError: true, text: /Nobody approved/ });
    t.match((await client.callTool('read_file', { path })).text, /yes/);
    t.equal(asked.length, 3);
  });

  t.test(`${kind}: a client that cannot ask is told that a person must allow it`, async (t) => {
    const client = await connect(t, kind);
    const result = await client.callTool('write_file', { path: 'x', content: 'x' });
    t.match(result, { isError: true, text: /The user must allow it.*approvals\.rules for workspace\/write_file/ });
  });

  t.test(
    `${kind}: a tool that the rules deny does not run, arguments that do not fit are told, an unknown one is an error`,
    async (t) => {
      const client = await connect(t, kind, { onElicit: () => ({ action: 'accept' }) });
      t.match(await client.callTool('search_files', { pattern: 'x' }), {
        isError: true,
        text: /denied by the approval rules/,
      });
      t.match(await client.callTool('read_file', { path: 5 }), { isError: true, text: /do not fit/ });
      await t.rejects(client.callTool('nothing_like_it', {}), /Unknown tool/);
    },
  );

  t.test(`${kind}: a call that the client cancels is cancelled in the sandbox`, async (t) => {
    const client = await connect(t, kind);
    const abort = new AbortController();
    const call = client.callTool(
      'run_command',
      { command: 'echo started; sleep 4711' },
      { signal: abort.signal, onProgress: () => abort.abort() },
    );
    await t.rejects(call);
    await untilGone(client, 'sleep 4711');
  });

  t.test(`${kind}: a session that is named is used, and nothing is written to its conversation`, async (t) => {
    const made = await fetch(`${engine.url}/v1/sessions`, { method: 'POST', headers: headers(TOKENS.ann), body: '{}' });
    const { session } = (await made.json()) as { session: string };
    const one = await connect(t, kind, { session });
    await one.callTool('run_command', { command: 'echo here > mark.txt' });
    const other = await connect(t, kind, { session });
    t.match((await other.callTool('read_file', { path: 'mark.txt' })).text, /here/, 'two clients, one sandbox');
    t.equal((await stack.leasedTo(session)).length, 1);
    const history = await fetch(`${engine.url}/v1/sessions/${session}/history`, { headers: headers(TOKENS.ann) });
    t.strictSame(await history.json(), { transcript: [] });
    await t.rejects(connectMcp(kind, engine.url, { token: TOKENS.bob, session }), 'another user’s does not exist');
    const stopped = await fetch(`${engine.url}/v1/sessions/${session}`, {
      method: 'DELETE',
      headers: headers(TOKENS.ann),
    });
    t.equal(stopped.status, 204);
    await t.rejects(one.callTool('run_command', { command: 'true' }), 'it is gone, and so is the client’s');
  });
}

t.test('the modern era: one session is kept for each user, and users do not see each other', async (t) => {
  const ann = await connect(t, 'v2 modern');
  const annToo = await connect(t, 'v2 modern');
  const bob = await connect(t, 'v2 modern', { token: TOKENS.bob });
  await ann.callTool('run_command', { command: 'echo secret > ann.txt' });
  t.match((await annToo.callTool('read_file', { path: 'ann.txt' })).text, /secret/);
  t.equal((await bob.callTool('read_file', { path: 'ann.txt' })).isError, true);
});

t.test('the legacy era: each client has a session; no other user can use it, and DELETE ends it', async (t) => {
  const ann = await connect(t, 'v2 legacy');
  const [session] = ann.sessionId!.split('.');
  await ann.callTool('run_command', { command: 'true' });
  t.equal((await stack.leasedTo(session!)).length, 1);
  const asBob = (method: string): Promise<Response> =>
    fetch(`${engine.url}/mcp`, {
      method,
      headers: headers(TOKENS.bob, { 'mcp-session-id': ann.sessionId! }),
      ...(method === 'POST' ? { body: rpc('tools/list') } : {}),
    });
  for (const method of ['POST', 'GET', 'DELETE']) {
    const answer = await asBob(method);
    t.equal(answer.status, 404, method);
    t.match(await answer.json(), { jsonrpc: '2.0', error: { message: 'Session not found' } });
  }
  await ann.end();
  t.same(await stack.containers(session), [], 'its sandbox has gone with it');
  const after = await fetch(`${engine.url}/mcp`, {
    method: 'POST',
    headers: headers(TOKENS.ann, { 'mcp-session-id': ann.sessionId! }),
    body: rpc('tools/list'),
  });
  t.equal(after.status, 404);
  const row = await fetch(`${engine.url}/v1/sessions/${session}`, { headers: headers(TOKENS.ann) });
  t.equal(row.status, 404, 'the session that was made for it as well');
});

t.test(
  'what is refused: no token, another page’s Origin, a body over the limit, what is no JSON, no session',
  async (t) => {
    const post = (more: Record<string, string>, body: string): Promise<Response> =>
      fetch(`${engine.url}/mcp`, { method: 'POST', headers: { ...headers(TOKENS.ann), ...more }, body });
    const refused = await fetch(`${engine.url}/mcp`, { method: 'POST', body: rpc('ping') });
    t.equal(refused.status, 401);
    t.equal(refused.headers.get('www-authenticate'), 'Bearer');
    t.equal((await post({ origin: 'https://evil.example' }, rpc('ping'))).status, 403);
    t.equal((await post({}, rpc('ping', { padding: 'x'.repeat(100_000) }))).status, 413);
    const broken = await post({}, '{"jsonrpc":');
    t.equal(broken.status, 400);
    t.match(await broken.json(), { error: { code: -32_700 } });
    t.equal((await post({}, rpc('tools/list'))).status, 400, 'a session is needed');
    t.equal((await post({ 'mcp-session-id': 'no.such' }, rpc('tools/list'))).status, 404);
    t.equal((await post({ 'mcp-session-id': '../../etc' }, rpc('tools/list'))).status, 404);
    t.equal((await post({ 'content-type': 'text/plain' }, rpc('initialize'))).status, 400);
    const get = await fetch(`${engine.url}/mcp`, {
      headers: headers(TOKENS.ann, { 'mcp-protocol-version': '2026-07-28' }),
    });
    t.equal(get.status, 405);
    t.equal(get.headers.get('allow'), 'POST');
    const put = await fetch(`${engine.url}/mcp`, { method: 'PUT', headers: headers(TOKENS.ann) });
    t.equal(put.status, 405);
  },
);

const sleeps = (seconds: number): Record<string, unknown> => ({
  name: 'run_command',
  arguments: { command: `echo started; sleep ${seconds}` },
  _meta: { progressToken: 1 },
});

t.test('a client that disconnects in the middle cancels its tool, in both eras', async (t) => {
  const client = await connect(t, 'v2 legacy');
  const [session] = client.sessionId!.split('.');
  const older = { headers: { 'mcp-session-id': client.sessionId! }, body: rpc('tools/call', sleeps(4712), 77) };
  const newer = modern('tools/call', sleeps(4713));
  const withToken = JSON.parse(newer.body) as { params: { _meta: Record<string, unknown> } };
  withToken.params._meta['progressToken'] = 1;
  for (const [seconds, sent] of [
    [4712, older],
    [4713, { ...newer, body: JSON.stringify(withToken) }],
  ] as const) {
    const abort = new AbortController();
    const answer = await fetch(`${engine.url}/mcp?session=${session}`, {
      method: 'POST',
      headers: headers(TOKENS.ann, sent.headers),
      body: sent.body,
      signal: abort.signal,
    });
    const reader = answer.body!.getReader();
    t.match(Buffer.from((await reader.read()).value ?? []).toString(), /started/);
    abort.abort();
    await untilGone(client, `sleep ${seconds}`);
  }
});

t.test('after a restart a client of the older era must begin anew, and one of the newer finds its files', async (t) => {
  const older = await connect(t, 'v2 legacy');
  const newer = await connect(t, 'v2 modern');
  await newer.callTool('run_command', { command: 'echo kept > kept.txt' });
  await engine.restart();
  const answer = await fetch(`${engine.url}/mcp`, {
    method: 'POST',
    headers: headers(TOKENS.ann, { 'mcp-session-id': older.sessionId! }),
    body: rpc('tools/list'),
  });
  t.equal(answer.status, 404);
  const again = await connect(t, 'v2 modern');
  t.match((await again.callTool('read_file', { path: 'kept.txt' })).text, /kept/);
});

t.test('a server that stops lets a call run to its end, and takes no other', async (t) => {
  const client = await connect(t, 'v2 modern');
  let started: (() => void) | undefined;
  const running = new Promise<void>((resolve) => (started = resolve));
  const call = client.callTool(
    'run_command',
    { command: 'echo started; while [ ! -e go ]; do sleep 0.05; done; echo ended' },
    { onProgress: () => started?.() },
  );
  await running;
  const release = await connectMcp('v2 modern', engine.url, { token: TOKENS.ann });
  t.teardown(() => release.close());
  const released = release.callTool('run_command', { command: 'echo started; sleep 1; touch go' });
  await engine.waitForReadiness(200);
  engine.signal('SIGTERM');
  await engine.waitForReadiness(503);
  const sent = modern('tools/list', {});
  const refused = await fetch(`${engine.url}/mcp`, {
    method: 'POST',
    headers: headers(TOKENS.ann, sent.headers),
    body: sent.body,
  });
  t.equal(refused.status, 503);
  t.ok(refused.headers.get('retry-after'));
  t.match(await refused.json(), { code: 'ERR_DRAINING' });
  await released;
  t.match((await call).text, /ended/);
  t.equal((await engine.exited).code, 0);
  await engine.start();
});
