import { PassThrough, Writable } from 'node:stream';
import t from 'tap';
import type { RunningSandbox, SandboxExit } from '../../../../workers/docker/driver/driver.js';
import { StdioRelay } from '../../../../workers/docker/lease/stdio-relay.js';
import { deferred } from '../../../helpers/processes.js';
import { SandboxPort } from '../../../helpers/sandbox-port.js';

const WINDOW = 1_048_576;

function made(stdin: Writable = new PassThrough()) {
  const exit = deferred<SandboxExit>();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const sandbox: RunningSandbox = {
    id: 'sandbox-1',
    stdin,
    stdout,
    stderr,
    exited: exit.promise,
    exec: () => Promise.reject(new Error('nothing runs beside it')),
    destroy: async () => exit.resolve({ code: null, reason: 'destroyed' }),
  };
  return { sandbox, exit, stdin, stdout, stderr };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

t.test('stdout stops at one unacknowledged window and goes on by as much as is acknowledged', async (t) => {
  const { sandbox, stdout, exit } = made();
  const port = new SandboxPort({ acks: false });
  t.teardown(() => port.close());
  new StdioRelay(port.far).attach(sandbox);
  stdout.end(Buffer.alloc(3 * WINDOW));
  await port.until(() => port.bytes === WINDOW);
  port.send({ type: 'ack', bytes: 1000 });
  await port.until(() => port.bytes === WINDOW + 1000);
  exit.resolve({ code: 0, reason: 'exited' });
  port.acks = true;
  port.send({ type: 'ack', bytes: WINDOW });
  t.same(await port.exit(), { code: 0, reason: 'exited' });
  t.equal(port.bytes, 3 * WINDOW);
});

t.test('what is written before the sandbox is there arrives in order', async (t) => {
  const { sandbox, stdin } = made();
  const port = new SandboxPort();
  t.teardown(() => port.close());
  const relay = new StdioRelay(port.far);
  port.write('one ');
  port.write('two ');
  relay.attach(sandbox);
  port.write('three');
  let got = '';
  await new Promise<void>((resolve) => {
    stdin.on('data', (data: Buffer) => {
      got += data.toString();
      if (got.endsWith('three')) resolve();
    });
  });
  t.equal(got, 'one two three');
});

t.test('a sandbox that does not read its input is ended once its queue is full', async (t) => {
  const stuck = new Writable({ write: () => undefined });
  const { sandbox } = made(stuck);
  const port = new SandboxPort();
  t.teardown(() => port.close());
  const relay = new StdioRelay(port.far);
  relay.attach(sandbox);
  for (let i = 0; i < 6; i++) port.send({ type: 'stdin', data: new Uint8Array(WINDOW) });
  t.match(await port.exit(), { code: null, reason: /input/ });
  t.equal(relay.closed.aborted, true);
  t.ok(stuck.writableLength <= 6 * WINDOW);
});

t.test('one long message into a sandbox that reads is no reason to end it', async (t) => {
  const { sandbox, stdin } = made();
  const port = new SandboxPort();
  t.teardown(() => port.close());
  const relay = new StdioRelay(port.far);
  relay.attach(sandbox);
  let bytes = 0;
  const all = new Promise<void>((resolve) => {
    stdin.on('data', (data: Buffer) => {
      bytes += data.length;
      if (bytes === 8 * WINDOW) resolve();
    });
  });
  port.send({ type: 'stdin', data: new Uint8Array(8 * WINDOW) });
  await all;
  t.equal(relay.closed.aborted, false);
});

t.test('stderr over its rate is dropped, not kept', async (t) => {
  const { sandbox, stderr, stdout, exit } = made();
  const port = new SandboxPort();
  t.teardown(() => port.close());
  new StdioRelay(port.far).attach(sandbox);
  stderr.end('e'.repeat(5 * WINDOW));
  stderr.on('end', () => {
    stdout.end();
    exit.resolve({ code: 1, reason: 'exited' });
  });
  await port.exit();
  t.ok(port.stderr.length > 0 && port.stderr.length <= 4 * 65_536, `${port.stderr.length} characters`);
});

t.test('the last output comes before the exit, and the port closes after it', async (t) => {
  const { sandbox, stdout, exit } = made();
  const port = new SandboxPort();
  t.teardown(() => port.close());
  const relay = new StdioRelay(port.far);
  relay.attach(sandbox);
  exit.resolve({ code: 3, reason: 'exited' });
  stdout.end('the last words');
  t.same(await port.exit(), { code: 3, reason: 'exited' });
  t.equal(port.text, 'the last words');
  await port.closed();
  t.equal(relay.closed.aborted, true);
});

t.test('an output that is held open after the exit is given up', async (t) => {
  const { sandbox, exit } = made();
  const port = new SandboxPort();
  t.teardown(() => port.close());
  new StdioRelay(port.far).attach(sandbox);
  exit.resolve({ code: 0, reason: 'exited' });
  t.same(await port.exit(), { code: 0, reason: 'exited' });
});

t.test('an agent that goes away is noticed, also before the sandbox is there and with input waiting', async (t) => {
  const port = new SandboxPort();
  const relay = new StdioRelay(port.far);
  port.write('waiting');
  port.close();
  await aborted(relay.closed);
  t.match(relay.closed.reason, { code: 'ERR_CANCELLED' });
});

t.test('a small piece of a pooled buffer crosses as just its bytes', async (t) => {
  const { sandbox, stdout } = made();
  const port = new SandboxPort();
  t.teardown(() => port.close());
  new StdioRelay(port.far).attach(sandbox);
  const sizes: number[] = [];
  port.near.on('message', (message: { type: string; data: Uint8Array }) => {
    if (message.type === 'stdout') sizes.push(message.data.buffer.byteLength);
  });
  stdout.write(Buffer.from('abc'));
  await port.until(() => port.bytes === 3);
  t.same(sizes, [3]);
});

t.test('a session that cannot read the output any longer says why, and the sandbox is not touched', async (t) => {
  const { sandbox, exit } = made();
  const port = new SandboxPort();
  t.teardown(() => port.close());
  const relay = new StdioRelay(port.far);
  relay.attach(sandbox);
  port.send({ type: 'cut', reason: 'too much' });
  await aborted(relay.closed);
  t.equal(relay.cut, 'too much');
  t.equal(relay.abandoned, false);
  exit.resolve({ code: 0, reason: 'never' });
});

t.test('a relay whose output is not taken can be cut off, and the session gets the reason', async (t) => {
  const { sandbox, stdout } = made();
  const port = new SandboxPort({ acks: false });
  t.teardown(() => port.close());
  const relay = new StdioRelay(port.far);
  relay.attach(sandbox);
  stdout.write(Buffer.alloc(2 * WINDOW));
  await port.until(() => port.bytes === WINDOW);
  t.equal(relay.unacked, WINDOW);
  relay.cutOff('too loud');
  t.same(await port.exit(), { code: null, reason: 'too loud' });
  t.equal(relay.cut, 'too loud');
});
