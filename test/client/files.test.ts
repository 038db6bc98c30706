/** `fairlead/client/files` and the chat's commands for files against the real server, the chat at a real terminal. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { Files } from '../../src/client/files.js';
import { Fairlead } from '../../src/client/node.js';
import { pending } from '../../src/shared/abort.js';
import { startEngine } from '../helpers/engine.js';

t.setTimeout(600_000); // a whole server, on a machine that may be busy

const MIB = 1_048_576;
const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));
const engine = await startEngine({
  config: { auth: {}, sandbox: { driver: 'process' } },
  env: { DOCKER_HOST: '' },
  startTimeoutMs: 240_000,
});
t.teardown(() => engine.stop());
const token = await engine.token();
const fairlead = new Fairlead({ url: engine.url, token });

async function filesOf(): Promise<Files> {
  const { session } = await fairlead.createSession();
  return new Files({ url: engine.wsUrl, token, session });
}

async function bytesOf({ body }: { body: ReadableStream<Uint8Array> }): Promise<Buffer> {
  return Buffer.from(await new Response(body).arrayBuffer());
}

t.test('files are written from whatever there is, listed, read, moved, packed and removed', async (t) => {
  const files = await filesOf();
  const big = Buffer.alloc(5 * MIB, 'spam and eggs ');
  const stream = new Blob([big]).stream();
  const made = await files.write('in/data.bin', stream as ReadableStream<Uint8Array>, { size: big.length });
  t.match(made, { path: 'in/data.bin', size: big.length });
  await files.write('a ü.txt', 'text');
  await files.write('in/b', new Uint8Array([1, 2, 3]));
  await files.write('in/c', new Blob(['c']));
  const { files: top } = await files.list();
  t.same(
    top.map(({ path, type }) => [path, type]),
    [
      ['a ü.txt', 'file'],
      ['in', 'folder'],
    ],
  );
  const all: string[] = [];
  for await (const { path } of files.walk('in')) all.push(path);
  t.same(all, ['in/b', 'in/c', 'in/data.bin']);
  const whole = await files.read('in/data.bin');
  t.match(whole, { size: big.length, etag: made.etag });
  t.ok((await bytesOf(whole)).equals(big));
  t.equal((await bytesOf(await files.read('in/data.bin', { from: 5, length: 3 }))).toString(), 'and');
  t.equal((await bytesOf(await files.read('in/data.bin', { from: big.length - 2 }))).length, 2);
  await files.move('in/b', 'in/d');
  await t.rejects(files.move('in/d', 'in/c'), { code: 'ERR_FILE_CONFLICT', status: 409 });
  await files.move('in/d', 'in/c', { overwrite: true });
  const zip = await bytesOf(await files.archive('in', { format: 'zip' }));
  t.equal(zip.toString('latin1', 0, 2), 'PK');
  t.ok((await bytesOf(await files.archive())).length > 100);
  await files.remove('in', { recursive: true });
  await t.rejects(files.read('in/c'), { code: 'ERR_NO_SUCH_FILE', status: 404 });
});

t.test('an upload is bound to what is there, and can be given up', async (t) => {
  const files = await filesOf();
  const { etag } = await files.write('f', 'one', { isNew: true });
  await t.rejects(files.write('f', 'two', { isNew: true }), { code: 'ERR_FILE_CHANGED', status: 412 });
  await t.rejects(files.remove('f', { ifMatch: '"1.2.3.4"' }), { code: 'ERR_FILE_CHANGED' });
  await files.write('f', 'longer', { ifMatch: etag });
  const controller = new AbortController();
  let pieces = 0;
  const { promise: stopped, resolve: onStopped } = pending<void>();
  const endless = new ReadableStream<Uint8Array>({
    pull: async (sink) => {
      await new Promise(setImmediate); // as bytes of a file come: others run in between
      sink.enqueue(new Uint8Array(65_536));
      if (++pieces === 4) controller.abort(new Error('given up'));
    },
    cancel: () => onStopped(),
  });
  await t.rejects(files.write('g', endless, { signal: controller.signal }), { message: 'given up' });
  await stopped; // else it would be read for ever
  t.equal((await bytesOf(await files.read('f'))).toString(), 'longer');
});

t.test('a token that has ended is asked for again', async (t) => {
  const { session } = await fairlead.createSession();
  const asked: boolean[] = [];
  const files = new Files({
    url: engine.url,
    session,
    token: ({ refused }) => {
      asked.push(refused);
      return refused ? token : 'flt_old';
    },
  });
  t.match(await files.write('f', 'x'), { size: 1 });
  t.same(asked, [false, true]);
});

/** `fairlead chat` at a terminal of its own. */
class Terminal {
  readonly #child;
  #output = '';
  #read = 0;

  constructor(t: Test, args: readonly string[], cwd: string) {
    const command = [process.execPath, CLI, 'chat', ...args].map((word) => `'${word}'`).join(' ');
    const env = { ...process.env, TERM: 'xterm', NO_COLOR: '1', FAIRLEAD_TOKEN: token };
    this.#child = spawn('script', ['-qec', `stty cols 200; exec ${command}`, '/dev/null'], { cwd, env });
    this.#child.stdout.on('data', (chunk: Buffer) => (this.#output += chunk.toString()));
    t.teardown(async () => {
      if (this.#child.exitCode !== null) return;
      this.#child.kill();
      await once(this.#child, 'exit');
    });
  }

  type(line: string): void {
    this.#child.stdin.write(`${line}\r`);
  }

  /** Resolves with what came since the last time, once that fits. */
  async until(expected: RegExp): Promise<string> {
    for (;;) {
      const found = expected.exec(this.#output.slice(this.#read));
      if (found) {
        this.#read += found.index + found[0].length;
        return found[0];
      }
      await once(this.#child.stdout, 'data', { signal: AbortSignal.timeout(120_000) }).catch((cause: unknown) => {
        throw new Error(`no ${String(expected)} in: ${this.#output.slice(this.#read)}`, { cause });
      });
    }
  }
}

t.test('in the chat files are sent, listed and saved, and nothing of this machine is replaced', async (t) => {
  const folder = t.testdir({ 'my file.txt': 'content', 'other.txt': 'other', out: {} });
  const { session } = await fairlead.createSession();
  const files = new Files({ url: engine.url, token, session });
  const chat = new Terminal(t, [engine.url, '--session', session], folder);
  await chat.until(/\/help for commands/);
  chat.type(`/upload 'my file.txt' in/`);
  await chat.until(/uploaded in\/my file\.txt, 7 bytes/);
  t.equal((await bytesOf(await files.read('in/my file.txt'))).toString(), 'content');
  chat.type('/upload nope');
  await chat.until(/nope does not exist/);

  await files.write('"esc\\x1b[31m\\nape"', 'x');
  chat.type('/files');
  await chat.until(/1 bytes .*"esc\\x1b\[31m\\nape"[^]*folder .* in\//);

  chat.type('/download "in/my file.txt" out/');
  await chat.until(/saved as .*out\/my file\.txt, 7 bytes/);
  t.equal(await readFile(join(folder, 'out/my file.txt'), 'utf8'), 'content');
  chat.type('/download "in/my file.txt" out/');
  await chat.until(/is there already/);
  chat.type('/download in');
  await chat.until(/saved as .*\/in\.tar\.gz/);
  t.equal((await readFile(join(folder, 'in.tar.gz'))).readUInt16BE(0), 0x1f8b);
  chat.type('/download nope');
  await chat.until(/nope does not exist/);

  chat.type(join(folder, 'my file.txt').replaceAll(' ', String.raw`\ `));
  await chat.until(/upload .*my file\.txt\? \[y\]es/);
  chat.type('y');
  await chat.until(/uploaded my file\.txt/);
  await writeFile(join(folder, 'my file.txt'), 'changed');
  chat.type(`'${join(folder, 'my file.txt')}'`);
  await chat.until(/\[y\]es/);
  chat.type('y');
  await chat.until(/is there already/);
  t.equal((await bytesOf(await files.read('my file.txt'))).toString(), 'content', 'what is dropped replaces nothing');

  chat.type('/sessions');
  await chat.until(/go to number/);
  chat.type('/upload other.txt');
  await chat.until(/uploaded other\.txt/);
  chat.type('/quit');
  await chat.until(/stays: fairlead chat/);
});
