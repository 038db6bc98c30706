import t from 'tap';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { JSONRPCMessage } from '@modelcontextprotocol/client';
import type { StdioFromSandbox, StdioToSandbox } from '../../../../workers/docker/messages.js';
import { PortTransport } from '../../../../workers/agent/mcp/port-transport.js';
import { deferred } from '../../../helpers/processes.js';

interface Pair {
  transport: PortTransport;
  far: MessagePort;
  sent: StdioToSandbox[];
  got: JSONRPCMessage[];
  errors: Error[];
  stderr: string[];
  post: (message: StdioFromSandbox) => void;
  /** The next message of the transport that matches. */
  next: (match: (message: StdioToSandbox) => boolean) => Promise<StdioToSandbox>;
  closed: Promise<void>;
}

async function startPair(t: { teardown: (fn: () => void) => unknown }): Promise<Pair> {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port2.close());
  const stderr: string[] = [];
  const transport = new PortTransport(port1, (text) => stderr.push(text));
  const closed = deferred<void>();
  const pair: Pair = {
    transport,
    far: port2,
    sent: [],
    got: [],
    errors: [],
    stderr,
    post: (message) => port2.postMessage(message),
    next: (match) => {
      const found = deferred<StdioToSandbox>();
      port2.on('message', (message: StdioToSandbox) => match(message) && found.resolve(message));
      return found.promise;
    },
    closed: closed.promise,
  };
  transport.onmessage = (message) => pair.got.push(message);
  transport.onerror = (error) => pair.errors.push(error);
  transport.onclose = () => closed.resolve();
  port2.on('message', (message: StdioToSandbox) => pair.sent.push(message));
  await transport.start();
  return pair;
}

const ping = (id: number): JSONRPCMessage => ({ jsonrpc: '2.0', id, method: 'ping' });
const bytes = (text: string): Uint8Array => Buffer.from(text);

void t.test('messages are lines, however the stream is cut, and each piece is acknowledged', async (t) => {
  const pair = await startPair(t);
  const line = Buffer.from(`${JSON.stringify({ jsonrpc: '2.0', id: 1, result: { text: 'grüße 🙂' } })}\n`);
  let acked = 0;
  const all = deferred<void>();
  pair.far.on('message', (message: StdioToSandbox) => {
    if (message.type !== 'ack') return;
    acked += message.bytes;
    if (acked === line.byteLength * 2) all.resolve();
  });
  for (const byte of line) pair.post({ type: 'stdout', data: Uint8Array.of(byte) });
  pair.post({ type: 'stdout', data: line });
  await all.promise;
  t.equal(pair.got.length, 2);
  t.match(pair.got[0], { result: { text: 'grüße 🙂' } });
});

void t.test('several lines in one piece are several messages', async (t) => {
  const pair = await startPair(t);
  const acked = pair.next((message) => message.type === 'ack');
  pair.post({ type: 'stdout', data: bytes(`${JSON.stringify(ping(1))}\n${JSON.stringify(ping(2))}\n`) });
  await acked;
  t.same(pair.got, [ping(1), ping(2)]);
});

void t.test('what is sent is one line of stdin', async (t) => {
  const pair = await startPair(t);
  const stdin = pair.next((message) => message.type === 'stdin');
  await pair.transport.send(ping(1));
  const message = await stdin;
  t.equal(message.type === 'stdin' && Buffer.from(message.data).toString(), `${JSON.stringify(ping(1))}\n`);
});

void t.test('a line that is no JSON-RPC is skipped, and the next is read', async (t) => {
  const pair = await startPair(t);
  const acked = pair.next((message) => message.type === 'ack');
  pair.post({ type: 'stdout', data: bytes(`server starting…\n{"a":1}\n${JSON.stringify(ping(3))}\n`) });
  await acked;
  t.same(pair.got, [ping(3)]);
  t.notOk(pair.transport.exitReason);
});

void t.test('a line over the limit ends the connection', async (t) => {
  const pair = await startPair(t);
  const close = pair.next((message) => message.type === 'close');
  const piece = Buffer.alloc(1_048_576, 'x');
  for (let sent = 0; sent < 18; sent++) pair.post({ type: 'stdout', data: piece });
  await close;
  await pair.closed;
  t.match(pair.transport.exitReason, 'more than');
  await t.rejects(pair.transport.send(ping(1)), { code: 'ERR_SANDBOX' });
});

void t.test('the sandbox’s last message is the reason, and later sends say it', async (t) => {
  const pair = await startPair(t);
  pair.post({ type: 'stderr', text: 'Killed' });
  pair.post({ type: 'exit', code: 137, reason: 'out of memory' });
  await pair.closed;
  t.same(pair.stderr, ['Killed']);
  t.equal(pair.transport.exitReason, 'out of memory');
  await t.rejects(pair.transport.send(ping(1)), { code: 'ERR_SANDBOX', message: 'out of memory' });
});

void t.test('a port whose other side is gone ends the connection', async (t) => {
  const pair = await startPair(t);
  pair.far.close();
  await pair.closed;
  t.ok(pair.transport.exitReason);
});

void t.test('closing tells the sandbox once, and is no end of the other side', async (t) => {
  const pair = await startPair(t);
  const close = pair.next((message) => message.type === 'close');
  await pair.transport.close();
  await pair.transport.close();
  await close;
  await pair.closed;
  t.equal(pair.transport.exitReason, '');
  t.equal(pair.sent.filter(({ type }) => type === 'close').length, 1);
  await t.rejects(pair.transport.send(ping(1)), { code: 'ERR_SANDBOX' });
});
