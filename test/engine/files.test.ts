/** Files of a session's workspace over HTTP, in and out, with real sandboxes: what works, and what is tried against it. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { text, tool } from '../helpers/model-server.js';
import { startStack } from '../helpers/stack.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

t.setTimeout(600_000); // whole processes, on a machine that may be busy

const run = promisify(execFile);
const MIB = 1_048_576;
const stack = await startStack({
  config: {
    sandbox: { hibernateAfterMs: 0, workspaceMb: 64, pool: { min: 1, max: 2 } },
    approvals: { default: 'allow' },
    limits: { maxFileTransfers: 2 },
  },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

interface Listed {
  files: { path: string; type: string; size: number; mtimeMs: number; etag?: string }[];
  next?: string;
  savedAt?: number;
  server: string;
}

class Opened {
  readonly client: TestClient;
  readonly session: string;

  constructor(client: TestClient, session: string) {
    this.client = client;
    this.session = session;
  }

  url(rest: string, query: Record<string, string> = {}): string {
    return `${engine.url}/v1/sessions/${this.session}/files${rest}?${new URLSearchParams(query).toString()}`;
  }

  /** Runs a script in the sandbox, as the model's tool. */
  async sh(command: string): Promise<string> {
    model.enqueue(tool('run_command', { command }), text('done'));
    await this.client.ask('run it');
    return JSON.stringify(this.client.events.findLast(({ type }) => type === 'tool:result'));
  }

  get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> {
    return fetch(this.url('/content', { path }), { method, headers });
  }

  put(path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url('/content', { path }), { method: 'PUT', body, headers });
  }

  delete(path: string, query: Record<string, string> = {}, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url('/content', { path, ...query }), { method: 'DELETE', headers });
  }

  move(body: object): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    return fetch(this.url('/move'), { method: 'POST', headers, body: JSON.stringify(body) });
  }

  async list(query: Record<string, string> = {}): Promise<Listed> {
    const answer = await fetch(this.url('', query));
    if (answer.status !== 200) throw new Error(await answer.text());
    return (await answer.json()) as Listed;
  }

  /** Saves its sandbox and ends it. */
  async end(): Promise<void> {
    const answer = await fetch(`${engine.url}/v1/sessions/${this.session}/sandbox/restart`, { method: 'POST' });
    if (answer.status !== 200) throw new Error(await answer.text());
  }

  get leases(): number {
    return engine.logs.filter((line) => line.msg === 'sandbox leased' && line['session'] === this.session).length;
  }
}

async function open(t: Test): Promise<Opened> {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  return new Opened(client, (await client.ready).session);
}

async function problem(t: Test, answer: Response, status: number, code: string, about = ''): Promise<void> {
  const body = await answer.text();
  t.match(body, new RegExp(`"code":"${code}"`), about);
  t.equal(answer.status, status, about);
}

t.test('clients are told what calls and uploads have changed, also those that come later', async (t) => {
  const box = await open(t);
  const { client, session } = box;
  const told = async (): Promise<object> => client.waitFor('files:changed', { from: 'cursor' });
  model.enqueue(tool('run_command', { command: 'echo hello > made.txt' }), text('done'));
  client.say('run it');
  t.match(await told(), { turn: 1, changes: [{ path: 'made.txt', change: 'created', size: 6 }] });
  await client.turnEnd();
  t.equal((await box.put('/workspace/up.txt', 'up')).status, 201);
  t.match(await told(), { changes: [{ path: 'up.txt', change: 'created', size: 2 }] });
  await box.move({ from: 'up.txt', to: 'down.txt' });
  t.match(await told(), { changes: [{ path: 'down.txt', change: 'moved', from: 'up.txt' }] });
  await box.delete('down.txt');
  t.match(await told(), { changes: [{ path: 'down.txt', change: 'deleted' }] });
  const again = await connect(engine.wsUrl, { session, after: 0 });
  t.teardown(() => again.close());
  for (let i = 0; i < 4; i++) await again.waitFor('files:changed');
  t.same(again.gaps(), []);
});

t.test('what is uploaded is listed, read by a tool, and comes back whole, in part and not at all', async (t) => {
  const it = await open(t);
  t.same(await it.list(), { files: [], server: 'workspace' }, 'nothing is started to list nothing');
  t.equal(it.leases, 0);
  const bytes = Buffer.alloc(3 * MIB, 'spam and eggs ');
  const made = await it.put('in/data.bin', bytes);
  t.equal(made.status, 201);
  const { etag } = (await made.json()) as { etag: string };
  t.equal(made.headers.get('etag'), etag);
  t.match(await it.sh('wc -c < in/data.bin'), /3145728/);

  const { files } = await it.list({ recursive: 'true' });
  t.same(
    files.map(({ path, type, size }) => [path, type, size]),
    [
      ['in', 'folder', 0],
      ['in/data.bin', 'file', bytes.length],
    ],
  );
  t.equal(files[1]?.etag, etag);

  const whole = await it.get('in/data.bin');
  t.equal(whole.headers.get('content-length'), String(bytes.length));
  t.equal(whole.headers.get('x-content-type-options'), 'nosniff');
  t.equal(whole.headers.get('content-security-policy'), "sandbox; default-src 'none'");
  t.match(whole.headers.get('content-disposition'), /^attachment; filename="data.bin"/);
  t.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes));

  const part = await it.get('in/data.bin', { range: 'bytes=2097152-2097161' });
  t.equal(part.status, 206);
  t.equal(part.headers.get('content-range'), `bytes 2097152-2097161/${bytes.length}`);
  t.equal(await part.text(), bytes.toString('latin1', 2_097_152, 2_097_162));
  const beyond = await it.get('in/data.bin', { range: `bytes=${bytes.length}-` });
  t.equal(beyond.headers.get('content-range'), `bytes */${bytes.length}`);
  await problem(t, beyond, 416, 'ERR_RANGE');
  t.equal((await it.get('in/data.bin', { 'if-none-match': etag })).status, 304);
  const changed = await it.get('in/data.bin', { range: 'bytes=0-1', 'if-range': '"another"' });
  t.equal(changed.status, 200, 'of another version the whole is sent');
  await changed.arrayBuffer();
  const head = await it.get('in/data.bin', {}, 'HEAD');
  t.equal(head.headers.get('content-length'), String(bytes.length));
  t.equal(head.headers.get('etag'), etag);

  t.equal((await it.put('empty', '')).status, 201);
  t.equal(await (await it.get('empty')).text(), '');
});

t.test('a message names files to the model, from the sandbox and from its save', async (t) => {
  const it = await open(t);
  await it.put('in/a.csv', 'a,b\n1,2\n');
  const ask = async (path: string): Promise<string> => {
    model.enqueue(text('seen'));
    it.client.send({ type: 'message', content: [{ type: 'file', path }] });
    await it.client.turnEnd();
    return JSON.stringify(model.requests.at(-1)?.body);
  };
  t.match(
    await ask('/workspace/in/a.csv'),
    String.raw`\"/workspace/in/a.csv\". It has 8 bytes and is named as text/csv.`,
  );
  const { leases } = it;
  await it.end();
  t.match(await ask('in/a.csv'), /It has 8 bytes[^[]*$/);
  t.match(await ask('in/b.csv'), /b\.csv[^[]*It cannot be read/);
  t.match(await ask('in'), /It cannot be read/);
  t.equal(it.leases, leases, 'no sandbox is started to look');
});

t.test('an upload replaces what its conditions name, and nothing else', async (t) => {
  const it = await open(t);
  const first = await it.put('f.txt', 'one', { 'if-none-match': '*' });
  t.equal(first.status, 201);
  await problem(t, await it.put('f.txt', 'two', { 'if-none-match': '*' }), 412, 'ERR_FILE_CHANGED');
  const second = await it.put('f.txt', 'second', { 'if-match': first.headers.get('etag') ?? '' });
  t.equal(second.status, 200);
  await problem(
    t,
    await it.put('f.txt', 'third', { 'if-match': first.headers.get('etag') ?? '' }),
    412,
    'ERR_FILE_CHANGED',
  );
  t.equal(await (await it.get('f.txt')).text(), 'second');
  const old = { 'if-match': first.headers.get('etag') ?? '' };
  await problem(t, await it.delete('f.txt', {}, old), 412, 'ERR_FILE_CHANGED', 'nor is another one deleted');
  t.equal((await it.delete('f.txt', {}, { 'if-match': second.headers.get('etag') ?? '' })).status, 204);
  const both = await Promise.all(['a', 'b'].map((name) => it.put('race', name.repeat(MIB), { 'if-none-match': '*' })));
  t.same(
    both.map(({ status }) => status).toSorted((one, other) => one - other),
    [201, 412],
    'of two at once one is first',
  );
  const won = await (await it.get('race')).text();
  t.ok(/^(a+|b+)$/.test(won) && won.length === MIB, 'and whole');
});

t.test('files are moved and deleted, and what is in the way is said', async (t) => {
  const it = await open(t);
  for (const path of ['a.txt', 'b.txt', 'folder/c.txt']) await it.put(path, path);
  t.equal((await it.move({ from: 'a.txt', to: 'new/deep/a.txt' })).status, 200);
  await problem(t, await it.move({ from: 'b.txt', to: 'new/deep/a.txt' }), 409, 'ERR_FILE_CONFLICT');
  t.equal((await it.move({ from: 'b.txt', to: 'new/deep/a.txt', overwrite: true })).status, 200);
  t.equal(await (await it.get('new/deep/a.txt')).text(), 'b.txt');
  await problem(t, await it.move({ from: 'new', to: 'new/deep/x' }), 400, 'ERR_BAD_PATH');
  await problem(t, await it.move({ from: 'nope', to: 'x' }), 404, 'ERR_NO_SUCH_FILE');
  await problem(t, await it.delete('folder'), 409, 'ERR_FILE_CONFLICT');
  t.equal((await it.delete('folder', { recursive: 'true' })).status, 204);
  await problem(t, await it.delete('folder'), 404, 'ERR_NO_SUCH_FILE');
  await problem(t, await it.delete('/workspace', { recursive: 'true' }), 400, 'ERR_BAD_PATH');
  const { files } = await it.list({ recursive: 'true' });
  t.same(
    files.map(({ path }) => path),
    ['new', 'new/deep', 'new/deep/a.txt'],
  );
});

t.test('no path leads out of the workspace, and what is no file is refused without waiting for it', async (t) => {
  const it = await open(t);
  await it.sh(
    'ln -s /etc etc; ln -s /etc/passwd passwd; ln -s nowhere broken; ln -s . here; mkfifo fifo; mkdir d; echo x > f',
  );
  for (const path of [
    '../etc/passwd',
    '/etc/passwd',
    'd/../../etc/passwd',
    'etc/passwd',
    'passwd',
    '/proc/self/environ',
  ]) {
    await problem(t, await it.get(path), 400, 'ERR_BAD_PATH', `get ${path}`);
    await problem(t, await it.put(path, 'x'), 400, 'ERR_BAD_PATH', `put ${path}`);
  }
  for (const to of ['../f', '/etc/f', 'etc/f', 'd/../../f']) {
    await problem(t, await it.move({ from: 'f', to }), 400, 'ERR_BAD_PATH', `move to ${to}`);
  }
  for (const path of ['fifo', 'd', 'broken', 'f/x']) {
    await problem(t, await it.get(path), 409, 'ERR_FILE_CONFLICT', `get ${path}`);
    await problem(t, await it.put(path, 'x'), 409, 'ERR_FILE_CONFLICT', `put ${path}`);
  }
  t.equal(await (await it.get('here/here/f')).text(), 'x\n', 'a link inside is followed');
  t.equal((await it.delete('etc', { recursive: 'true' })).status, 204, 'of a link itself goes, and not what it names');
  t.match(await it.sh('ls /etc/passwd && ls -A'), /passwd/);
  t.same(
    (await it.list()).files.filter(({ path }) => path.startsWith('.')),
    [],
    'nothing is left of what was refused',
  );
});

t.test('any name that Linux takes is listed on one line, and what is shown leads back to it', async (t) => {
  const it = await open(t);
  for (const name of ['n'.repeat(255), '-dash', '<b>x', 'ü文😀', '%2e%2e', 'two words', '"new\\nline"']) {
    t.equal((await it.put(name, 'content')).status, 201, name);
  }
  await it.sh(
    `for name in 'broken\\377' ' spaces ' 'right\\342\\200\\256left.txt' '"quoted"'; do echo x > "$(printf "$name")"; done`,
  );
  const { files } = await it.list({ limit: '2' });
  t.equal(files.length, 2);
  const all: Listed['files'] = [];
  for (let after: string | undefined = ''; after !== undefined;) {
    const page: Listed = await it.list({ limit: '3', ...(after && { after }) });
    all.push(...page.files);
    after = page.next;
  }
  const shown = all.map(({ path }) => path);
  t.ok(shown.includes('"new\\nline"') && shown.includes('"broken\\xff"') && shown.includes('" spaces "'), shown.join());
  for (const { path, size } of all) {
    t.notMatch(path, /[\n\r\u202E]/);
    const answer = await it.get(path);
    t.equal(answer.status, 200, path);
    t.equal((await answer.arrayBuffer()).byteLength, size);
    t.notMatch(answer.headers.get('content-disposition'), /[\n\r\u202E]/);
  }
});

t.test('an upload that its client gives up leaves nothing, and the file of before', async (t) => {
  const it = await open(t);
  await it.put('kept.txt', 'before');
  const sent = request(it.url('/content', { path: 'kept.txt' }), {
    method: 'PUT',
    headers: { 'content-length': 8 * MIB },
  });
  sent.on('error', () => undefined);
  sent.write(Buffer.alloc(2 * MIB, 'x'));
  // What is not there yet is on its way to the sandbox: a program that looks sees it come, and go.
  t.match(await it.sh('until ls -A | grep -q fairlead-upload; do sleep 0.05; done; echo seen'), /seen/);
  sent.destroy();
  t.match(await it.sh('while ls -A | grep -q fairlead-upload; do sleep 0.05; done; cat kept.txt'), /before/);
  t.same(
    (await it.list()).files.map(({ path }) => path),
    ['kept.txt'],
  );
});

t.test('what does not fit is said before it has a name, and a user has a bounded number of transfers', async (t) => {
  const it = await open(t);
  await problem(t, await it.put('big', Buffer.alloc(65 * MIB)), 507, 'ERR_NO_SPACE', 'more than any workspace has');
  t.equal((await it.put('half', Buffer.alloc(40 * MIB, 'x'))).status, 201);
  await problem(t, await it.put('other', Buffer.alloc(30 * MIB)), 507, 'ERR_NO_SPACE', 'with a length, at once');
  const chunked = fetch(it.url('/content', { path: 'other' }), {
    method: 'PUT',
    body: new Blob([Buffer.alloc(30 * MIB)]).stream(),
    duplex: 'half',
  });
  await problem(t, await chunked, 507, 'ERR_NO_SPACE', 'without one, when it is full');
  t.same(
    (await it.list()).files.map(({ path }) => path),
    ['half'],
  );

  const slow = await Promise.all([slowly(t, it), slowly(t, it)]);
  await problem(t, await it.get('half'), 429, 'ERR_TOO_MANY_REQUESTS');
  for (const answer of slow) t.equal(await countBytes(answer), 40 * MIB, 'a slow reader gets all of it');
  t.equal((await it.get('half')).status, 200);
});

/** An answer of which nothing has been read. */
async function slowly(t: Test, it: Opened): Promise<IncomingMessage> {
  const asked = request(it.url('/content', { path: 'half' })).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  t.teardown(() => answer.destroy());
  answer.pause();
  return answer;
}

async function countBytes(answer: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of answer) bytes += (chunk as Buffer).length;
  return bytes;
}

t.test(
  'a file that grows while it is read is sent as it was announced; one that shrinks cuts the connection',
  async (t) => {
    const it = await open(t);
    await it.put('half', Buffer.alloc(30 * MIB, 'x'));
    const growing = await slowly(t, it);
    await it.sh('printf more >> half');
    t.equal(await countBytes(growing), 30 * MIB);
    const shrinking = await slowly(t, it);
    await it.sh(': > half');
    await t.rejects(countBytes(shrinking), 'a part is not taken for the whole');
  },
);

function plain({ files }: Listed): unknown[] {
  return files.map(({ path, type, size }) => [path, type, size]);
}

t.test('a workspace without a sandbox is listed and read in its save, and a change brings it back', async (t) => {
  const it = await open(t);
  const made = await it.put('docs/a.txt', 'saved');
  await it.put('docs/b.txt', 'too');
  await it.sh('ln -s docs/a.txt link; ln docs/b.txt hard');
  const live = await it.list({ recursive: 'true' });
  await it.end();
  const { leases } = it;
  const saved = await it.list({ recursive: 'true' });
  t.ok(saved.savedAt !== undefined && saved.savedAt <= Date.now());
  t.same(plain(saved), plain(live));
  t.equal(await (await it.get('docs/a.txt', { range: 'bytes=1-3' })).text(), 'ave');
  t.equal(await (await it.get('hard')).text(), 'too');
  await problem(t, await it.get('nope'), 404, 'ERR_NO_SUCH_FILE');
  t.equal(it.leases, leases, 'for that nobody has started a sandbox');
  t.equal(await (await it.get('link')).text(), 'saved', 'where a link leads, a sandbox says');
  t.equal(it.leases, leases + 1);
  await it.end();
  const replaced = await it.put('docs/a.txt', 'new', { 'if-match': made.headers.get('etag') ?? '' });
  t.equal(replaced.status, 200, 'a tag from before the save is still good');
  t.match(await it.sh('cat docs/a.txt docs/b.txt'), /newtoo/);
});

/** Unpacks an archive of `path`, as a user would; resolves with the folder. */
async function unpacked(t: Test, it: Opened, query: Record<string, string>): Promise<string> {
  const answer = await fetch(it.url('/archive', query));
  if (answer.status !== 200) throw new Error(await answer.text());
  const folder = t.testdir({ out: {} });
  const file = join(folder, 'archive');
  await writeFile(file, Buffer.from(await answer.arrayBuffer()));
  const out = join(folder, 'out');
  if (query['format'] === 'zip') await run('python3', ['-m', 'zipfile', '-e', file, out]);
  else await run('tar', ['-xzf', file, '-C', out]);
  return out;
}

t.test('a folder comes as one archive, out of the sandbox and out of its save', async (t) => {
  const it = await open(t);
  t.same(await readdir(await unpacked(t, it, {})), [], 'of a session without files it is empty');
  const content = randomBytes(2 * MIB);
  await it.put('d/data.bin', content);
  await it.put('d/deep/ü "q".txt', 'text');
  await it.sh(
    'ln -s /etc/passwd out; ln -s data.bin d/here; mkfifo pipe; truncate -s 1M d/sparse; truncate -s 10G huge; mkdir shut; echo x > shut/f; chmod 0 shut; echo old > "$(printf "broken\\377")"',
  );
  const live = await unpacked(t, it, {});
  t.ok((await readFile(join(live, 'd/data.bin'))).equals(content));
  t.equal(await readFile(join(live, 'd/deep/ü "q".txt'), 'utf8'), 'text');
  t.ok((await readFile(join(live, 'd/sparse'))).equals(Buffer.alloc(MIB)));
  t.equal(await readlink(join(live, 'out')), '/etc/passwd', 'a link is one, and nothing that it names');
  t.equal(await readlink(join(live, 'd/here')), 'data.bin');
  t.equal(await readFile(join(live, 'broken\\xff'), 'utf8'), 'old\n');
  const told = await readFile(join(live, 'NOT-IN-THIS-ARCHIVE.txt'), 'utf8');
  for (const [name, why] of [
    ['pipe', 'it is a device'],
    ['huge', 'with it the archive'],
    ['shut', 'it is closed'],
  ]) {
    t.match(told, new RegExp(`^${name}: ${why}`, 'm'));
  }
  const part = await fetch(it.url('/archive', { path: '/workspace/d', format: 'zip' }));
  t.match(part.headers.get('content-disposition'), /^attachment; filename="d\.zip"/);
  t.equal(part.headers.get('content-type'), 'application/zip');
  t.equal(part.headers.get('content-security-policy'), "sandbox; default-src 'none'");
  await part.arrayBuffer();
  t.ok((await readFile(join(await unpacked(t, it, { path: 'd', format: 'zip' }), 'data.bin'))).equals(content));

  await it.sh('chmod 755 shut; rm huge; ln d/deep/* hard; mkdir e; echo x > e/plain');
  await it.end();
  const { leases } = it;
  const saved = await unpacked(t, it, {});
  t.ok((await readFile(join(saved, 'd/data.bin'))).equals(content));
  t.equal(await readlink(join(saved, 'out')), '/etc/passwd');
  t.equal(await readFile(join(saved, 'hard'), 'utf8'), 'text');
  t.same(await readdir(await unpacked(t, it, { path: 'e' })), ['plain']);
  await problem(t, await fetch(it.url('/archive', { path: 'nope' })), 404, 'ERR_NO_SUCH_FILE');
  await problem(t, await fetch(it.url('/archive', { path: 'd/data.bin' })), 409, 'ERR_FILE_CONFLICT');
  t.equal(it.leases, leases, 'for that nobody has started a sandbox');
  const zip = await unpacked(t, it, { format: 'zip' });
  t.equal(await readFile(join(zip, 'hard'), 'utf8'), 'text', 'a file of two names is whole twice');
  t.equal(it.leases, leases + 1);

  await problem(t, await fetch(it.url('/archive', { format: 'rar' })), 400, 'ERR_BAD_FRAME');
  await problem(t, await fetch(it.url('/archive', { path: '../etc' })), 400, 'ERR_BAD_PATH');
  await problem(t, await fetch(it.url('/archive', { path: 'out' })), 400, 'ERR_BAD_PATH');
  await problem(t, await fetch(it.url('/archive', { path: 'pipe' })), 409, 'ERR_FILE_CONFLICT');
});

t.test('of a file that shrinks while it is packed the archive says so', async (t) => {
  const it = await open(t);
  await it.put('a-first', randomBytes(40 * MIB));
  const asked = request(it.url('/archive')).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  t.teardown(() => answer.destroy());
  await it.sh(': > a-first');
  const file = join(t.testdir(), 'a.tar.gz');
  await writeFile(file, answer);
  const { stdout } = await run('tar', ['-xzOf', file, 'NOT-IN-THIS-ARCHIVE.txt']);
  t.match(stdout, /^a-first: it became shorter/);
});

t.test('files are their session’s own, and an upload is recorded', async (t) => {
  const it = await open(t);
  await it.put('mine', 'x');
  const foreign = `${engine.url}/v1/sessions/${'x'.repeat(24)}/files`;
  await problem(t, await fetch(foreign), 404, 'ERR_NO_SUCH_SESSION');
  await problem(
    t,
    await fetch(`${foreign}/content?path=mine`, { method: 'PUT', body: 'x' }),
    404,
    'ERR_NO_SUCH_SESSION',
  );
  await problem(t, await fetch(it.url('', { server: 'other' })), 404, 'ERR_NOT_FOUND');
  await problem(t, await fetch(it.url('/content')), 400, 'ERR_BAD_FRAME');
  await problem(t, await fetch(`${foreign}/archive`), 404, 'ERR_NO_SUCH_SESSION');
});
