import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import t from 'tap';
import { VERSION } from '../../../src/shared/version.js';
import { SERVER_NAME, SERVER_VERSION, WorkspaceServer } from '../../../workers/workspace/server.js';
import { TOOL_LIST } from '../../../workers/workspace/tool-list.js';
import { SERVER, startWorkspace } from './workspace-client.js';

t.test('the server says who it is, in the version of the package', async (t) => {
  const ws = await startWorkspace(t);
  t.match(ws.client.getServerVersion(), { name: SERVER_NAME, version: VERSION });
  t.equal(SERVER_VERSION, VERSION);
});

t.test(
  'the first handshake is answered when tools have run once, so that the first call finds them loaded',
  async (t) => {
    const called: [string, unknown][] = [];
    const tools = TOOL_LIST.map(({ listed }) => ({
      listed,
      call: async (args: Readonly<Record<string, unknown>>) => {
        called.push([listed.name, args]);
        return { content: [] };
      },
    }));
    const output = new PassThrough();
    const server = new WorkspaceServer(tools, output);
    for (const id of [1, 2]) {
      server.receive({ id, method: 'initialize', params: { protocolVersion: '2025-11-25' } });
      await once(output, 'data');
      t.ok(called.length > 0);
      t.equal(called.length, new Set(called.map(([name]) => name)).size, 'once each');
    }
    const readOnly = new Set(
      TOOL_LIST.filter(({ listed }) => listed.annotations.readOnlyHint).map((tool) => tool.listed.name),
    );
    const others = called.filter(([name]) => !readOnly.has(name));
    t.same(others, [['run_command', { command: ':' }]], 'the only one that could change something does nothing');
  },
);

t.test('each tool says whether it reads, destroys, may be repeated, and reaches out', async (t) => {
  const ws = await startWorkspace(t);
  const { tools } = await ws.client.listTools();
  const hints = tools.map(({ name, annotations: a }) => [
    name,
    a?.readOnlyHint,
    a?.destructiveHint,
    a?.idempotentHint,
    a?.openWorldHint,
  ]);
  t.same(hints, [
    ['read_file', true, false, true, false],
    ['write_file', false, true, true, false],
    ['edit_file', false, true, false, false],
    ['list_files', true, false, true, false],
    ['search_files', true, false, true, false],
    ['run_command', false, true, false, true],
  ]);
  t.ok(tools.every((tool) => tool.title !== undefined && tool.description !== undefined));
});

t.test('arguments that do not fit the schema are a result that says so, not an error of the protocol', async (t) => {
  const ws = await startWorkspace(t);
  for (const [name, args] of [
    ['read_file', {}],
    ['read_file', { path: 7 }],
    ['read_file', { path: 'f', offset: 0 }],
    ['read_file', { path: 'f', ofset: 1 }],
    ['edit_file', { path: 'f', old_text: '', new_text: 'x' }],
    ['run_command', { command: 'true', timeout_ms: 1e9 }],
  ] as const) {
    t.equal((await ws.call(name, args)).isError, true, JSON.stringify(args));
  }
});

t.test('a file of several megabytes fits into one message', async (t) => {
  const ws = await startWorkspace(t);
  const content = `${'x'.repeat(99)}\n`.repeat(120_000);
  t.match(await ws.text('write_file', { path: 'f', content }), 'Created f (12000000 bytes)');
});

t.test('the newer protocol era is spoken, too', async (t) => {
  const ws = await startWorkspace(t);
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [SERVER],
    env: { PATH: process.env['PATH'] ?? '', FAIRLEAD_WORKSPACE: ws.root },
  });
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
  t.teardown(() => client.close());
  await client.connect(transport);
  t.equal((await client.listTools()).tools.length, 6);
  const progress: (string | undefined)[] = [];
  const result = await client.callTool(
    { name: 'run_command', arguments: { command: 'echo one; sleep 0.3' } },
    { onprogress: ({ message }) => progress.push(message) },
  );
  t.equal(result.isError, false);
  t.same(progress, ['one\n']);
});

t.test('the server exits when its stdin closes, and on SIGTERM', async (t) => {
  for (const end of ['stdin', 'signal'] as const) {
    const child = spawn(process.execPath, [SERVER], { env: { FAIRLEAD_WORKSPACE: t.testdir() }, stdio: 'pipe' });
    t.teardown(() => child.kill('SIGKILL'));
    const initialize = {
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    };
    child.stdin.write(`this is not JSON\n${JSON.stringify(initialize)}\n`);
    const [answer] = (await once(child.stdout, 'data')) as [Buffer];
    t.match(answer.toString(), '"id":1', 'a line that is not JSON has not stopped it');
    if (end === 'stdin') child.stdin.end();
    else child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number | null];
    t.equal(code, 0);
  }
});

t.test('without its folder the server does not start, and says which', async (t) => {
  const missing = join(t.testdir(), 'missing');
  const child = spawn(process.execPath, [SERVER], { env: { FAIRLEAD_WORKSPACE: missing }, stdio: 'pipe' });
  t.teardown(() => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  t.equal(code, 1);
  t.match(stderr, missing);
});
