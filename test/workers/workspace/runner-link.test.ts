import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile, mkdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { CallToolResult } from '@modelcontextprotocol/client';
import t, { type Test } from 'tap';
import { writeAccounts } from '../../../workers/workspace/accounts.js';
import { RunnerLink } from '../../../workers/workspace/runner-link.js';
import { lineOf, type FromRunner, type ToRunner } from '../../../workers/workspace/runner-wire.js';
import { FAULT_META } from '../../../workers/workspace/server.js';
import type { Tool } from '../../../workers/workspace/tools.js';
import { deferred } from '../../helpers/processes.js';

const SECRET = 'the runner has it';

interface World {
  path: string;
  link: RunnerLink;
  /** Resolves at the next time that a runner is wanted. */
  wanted: () => Promise<void>;
  uids: number[];
}

async function open(t: Test): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-link-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'runner.sock');
  const uids: number[] = [];
  let next = deferred<void>();
  const link = await RunnerLink.listen({
    hash: createHash('sha256').update(SECRET).digest('hex'),
    path,
    onWanted: () => next.resolve(),
    onRunner: (uid) => uids.push(uid),
  });
  t.teardown(() => link.close());
  const wanted = (): Promise<void> => {
    next = deferred<void>();
    return next.promise;
  };
  return { path, link, wanted, uids };
}

/** A process that speaks to the server as a runner, or as it likes. */
class Speaker {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
  readonly #lines: AsyncIterator<string>;

  constructor(t: Test, path: string) {
    this.socket = connect(path);
    this.socket.on('error', () => undefined); // its close follows
    this.closed = once(this.socket, 'close');
    this.#lines = createInterface({ input: this.socket })[Symbol.asyncIterator]();
    t.teardown(() => this.socket.destroy());
  }

  say(message: FromRunner): void {
    this.socket.write(lineOf(message));
  }

  async hear(): Promise<ToRunner> {
    const { value } = await this.#lines.next();
    return JSON.parse(String(value)) as ToRunner;
  }
}

async function runner(t: Test, path: string, pid = 7): Promise<Speaker> {
  const speaker = new Speaker(t, path);
  speaker.say({ type: 'hello', secret: SECRET, pid, uid: 4242 });
  return speaker;
}

function call(
  link: RunnerLink,
  name: string,
  more: Partial<Parameters<Tool['call']>[1]> = {},
): Promise<CallToolResult> {
  const tool = link.tools.find(({ listed }) => listed.name === name);
  if (!tool) throw new Error(`no tool ${name}`);
  return tool.call({ path: 'a' }, { signal: new AbortController().signal, maxBytes: 5_000, ...more });
}

const said = (text: string): CallToolResult => ({ content: [{ type: 'text', text }] });

t.test('a call that comes before the runner waits for it, and its result passes', async (t) => {
  const { link, path, uids } = await open(t);
  const answered = call(link, 'read_file');
  const one = await runner(t, path);
  t.same(await one.hear(), { type: 'welcome' });
  t.same(await one.hear(), {
    type: 'call',
    id: 0,
    name: 'read_file',
    args: { path: 'a' },
    progress: false,
    maxBytes: 5_000,
  });
  one.say({ type: 'result', id: 0, result: said('hello') });
  t.same(await answered, said('hello'));
  t.same(uids, [4242]);
});

t.test('who does not have the secret, or says anything else first, is not the runner', async (t) => {
  const { link, path } = await open(t);
  const one = await runner(t, path);
  t.same(await one.hear(), { type: 'welcome' });
  for (const line of [
    lineOf({ type: 'hello', secret: 'a guess', pid: 1, uid: 1 }),
    lineOf({ type: 'result', id: 0, result: said('a lie') }),
    'no JSON\n',
    `${'x'.repeat(2_000)}\n`,
  ]) {
    const stranger = new Speaker(t, path);
    stranger.socket.write(line);
    await stranger.closed;
  }
  const crowd = Array.from({ length: 9 }, () => new Speaker(t, path));
  await crowd[0]?.closed; // the oldest makes room
  const answered = call(link, 'read_file');
  t.match(await one.hear(), { type: 'call', id: 0 });
  one.say({ type: 'result', id: 0, result: said('the truth') });
  t.same(await answered, said('the truth'));
});

t.test('a runner that ends answers its calls in words, and the next call has a new one', async (t) => {
  const { link, path, wanted } = await open(t);
  const first = await runner(t, path, 7);
  await first.hear();
  const asked = wanted();
  const cut = call(link, 'run_command');
  await first.hear();
  first.socket.destroy();
  t.match(await cut, {
    isError: true,
    _meta: { [FAULT_META]: 'NO_RUNNER' },
    content: [{ text: /ended while this call ran/ }],
  });
  await asked;
  const next = call(link, 'read_file');
  const second = await runner(t, path, 8);
  t.same(await second.hear(), { type: 'welcome', replaces: 7 }, 'it kills a stopped one');
  await second.hear();
  second.say({ type: 'result', id: 0, result: said('again') });
  t.same(await next, said('again'));
});

t.test('a message that no runner of ours sends ends it', async (t) => {
  const { link, path } = await open(t);
  for (const wrong of [
    '{"type":"result","id":0,"result":{"content":[{"type":"image","data":"x"}]}}',
    '{"type":"result","id":0,"result":{"content":"text"}}',
    '{"type":"progress","id":0,"piece":{"stream":"stdin","text":"x","total":1}}',
    '{"type":"hello","secret":"again","pid":1,"uid":1}',
    '{"jsonrpc":"2.0","id":"g0-1","result":{}}',
  ]) {
    const one = await runner(t, path);
    t.match(await one.hear(), { type: 'welcome' });
    const cut = call(link, 'read_file');
    await one.hear();
    one.socket.write(`${wrong}\n`);
    t.match(await cut, { isError: true }, wrong);
    await one.closed;
  }
});

t.test('progress is acknowledged when the client has taken it, and a cancel reaches the runner', async (t) => {
  const { link, path } = await open(t);
  const one = await runner(t, path);
  await one.hear();
  const taken = deferred<void>();
  const pieces: unknown[] = [];
  const abort = new AbortController();
  const report = async (piece: unknown): Promise<void> => {
    pieces.push(piece);
    await taken.promise;
  };
  const answered = call(link, 'run_command', { report, signal: abort.signal });
  t.match(await one.hear(), { type: 'call', progress: true });
  one.say({ type: 'progress', id: 0, piece: { stream: 'stdout', text: 'x', total: 1 } });
  one.say({ type: 'pong' });
  abort.abort();
  t.same(await one.hear(), { type: 'cancel', id: 0 }, 'no ack yet');
  taken.resolve();
  t.same(await one.hear(), { type: 'ack', id: 0 });
  t.same(pieces, [{ stream: 'stdout', text: 'x', total: 1 }]);
  one.say({ type: 'result', id: 0, result: said('cancelled') });
  t.same(await answered, said('cancelled'));
});

t.test('it is alive when the runner answers, not when it is only connected', async (t) => {
  const { link, path } = await open(t);
  const one = await runner(t, path);
  await one.hear();
  let alive = false;
  const asking = link.alive().then(() => (alive = true));
  t.same(await one.hear(), { type: 'ping' });
  t.notOk(alive);
  one.say({ type: 'pong' });
  await asking;
});

t.test('the users of a sandbox get names beside the image’s own, and only once', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-accounts-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const [from, to] = [join(folder, 'from'), join(folder, 'to')];
  await Promise.all([mkdir(from), mkdir(to)]);
  await writeFile(join(from, 'passwd'), 'root:x:0:0:root:/root:/bin/sh\nfairlead:x:1:1::/:/bin/sh\n');
  await writeFile(join(from, 'group'), 'root:x:0:\n');
  for (let time = 0; time < 2; time++) writeAccounts({ server: 5000, runner: 5001 }, from, to);
  t.equal(
    await readFile(join(to, 'passwd'), 'utf8'),
    'root:x:0:0:root:/root:/bin/sh\nfairlead:x:5001:5001::/workspace:/bin/sh\nfairlead-server:x:5000:5000::/:/bin/false\n',
  );
  t.equal(await readFile(join(to, 'group'), 'utf8'), 'root:x:0:\nfairlead:x:5001:\nfairlead-server:x:5000:\n');
});
