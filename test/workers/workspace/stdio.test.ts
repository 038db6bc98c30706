import { once } from 'node:events';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import { SUPPORTED_PROTOCOL_VERSIONS } from '@modelcontextprotocol/server';
import type { Readable, Writable } from 'node:stream';
import t, { type Test } from 'tap';
import { SERVER } from './workspace-client.js';

interface Answer {
  id?: number | string;
  method?: string;
  params?: unknown;
  result?: { protocolVersion?: string; tools?: unknown[] };
  error?: { code: number };
}

/** Lines in, messages out; no client between. */
class RawServer {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(t: Test) {
    const env = { ...process.env, FAIRLEAD_WORKSPACE: t.testdir() };
    this.child = spawn(process.execPath, [SERVER], { env, stdio: ['pipe', 'pipe', 'ignore'] });
    t.teardown(() => this.child.kill('SIGKILL'));
    this.#lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  send(...messages: (object | string)[]): void {
    for (const message of messages) {
      const line = typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message });
      this.child.stdin.write(`${line}\n`);
    }
  }

  async next(): Promise<Answer> {
    const { value } = await this.#lines.next();
    return JSON.parse(value as string) as Answer;
  }
}

const initialize = (protocolVersion: string): object => ({
  id: 1,
  method: 'initialize',
  params: { protocolVersion, capabilities: {}, clientInfo: { name: 'test', version: '1' } },
});

t.test('every revision that the SDK knows is spoken, and the newest is offered for another', async (t) => {
  const raw = new RawServer(t);
  for (const version of SUPPORTED_PROTOCOL_VERSIONS) {
    raw.send(initialize(version));
    t.equal((await raw.next()).result?.protocolVersion, version);
  }
  raw.send(initialize('1999-01-01'));
  t.equal((await raw.next()).result?.protocolVersion, SUPPORTED_PROTOCOL_VERSIONS[0]);
});

t.test('a cancelled call has no answer, and its command has ended', async (t) => {
  const raw = new RawServer(t);
  raw.send(initialize('2025-11-25'), { method: 'notifications/initialized' });
  await raw.next();
  raw.send({
    id: 'slow',
    method: 'tools/call',
    params: { name: 'run_command', arguments: { command: 'echo up; sleep 60' }, _meta: { progressToken: 'p' } },
  });
  t.match(await raw.next(), { method: 'notifications/progress', params: { progressToken: 'p', message: 'up\n' } });
  raw.send({ method: 'notifications/cancelled', params: { requestId: 'slow' } });
  raw.send({
    id: 2,
    method: 'tools/call',
    params: { name: 'run_command', arguments: { command: 'while pgrep -f "^sleep 60"; do sleep 0.05; done' } },
  });
  t.match(await raw.next(), { id: 2 }, 'the next answer is not that of the cancelled call');
});

t.test('what it does not offer is an error with its code', async (t) => {
  const raw = new RawServer(t);
  raw.send(initialize('2025-11-25'));
  await raw.next();
  raw.send({ id: 2, method: 'resources/list' }, { id: 3, method: 'tools/call', params: { name: 'nope' } });
  raw.send(
    { id: 4, method: 'tools/call' },
    { id: 5, method: 'tools/call', params: { name: 'read_file', arguments: [] } },
  );
  const codes: Record<string, number | undefined> = {};
  for (let i = 0; i < 4; i++) {
    const { id, error } = await raw.next();
    codes[String(id)] = error?.code;
  }
  t.same(codes, { 2: -32_601, 3: -32_602, 4: -32_602, 5: -32_602 });
});

t.test('a client that says something else first is served by the SDK, with all it has sent already', async (t) => {
  const raw = new RawServer(t);
  raw.send(
    'no JSON',
    { id: 1, method: 'ping' },
    initialize('2025-11-25'),
    '{"jsonrpc":"2.0","id":9,"method":"tools/list"}',
  );
  const answers = [await raw.next(), await raw.next(), await raw.next()];
  t.same(
    answers.map(({ id }) => Number(id)).sort((a, b) => a - b),
    [1, 1, 9],
  );
  t.equal(answers.find(({ id }) => id === 9)?.result?.tools?.length, 6);
});

t.test('a message over the limit ends the server', async (t) => {
  const raw = new RawServer(t);
  raw.child.stdin.on('error', () => undefined);
  raw.child.stdin.write('x'.repeat(34_000_000));
  t.same(await once(raw.child, 'exit'), [0, null]);
});
