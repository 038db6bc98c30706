import t from 'tap';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { JSONRPCMessage } from '@modelcontextprotocol/client';
import type { StdioFromSandbox, StdioToSandbox } from '../../../../../workers/docker/contract/messages.js';
import { PortTransport } from '../../../../../workers/agent/mcp/sandbox/port-transport.js';
import { HANDSHAKE } from '../../../../helpers/port-mcp-server.js';
import { deferred } from '../../../../helpers/processes.js';

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

const textOf = (message: StdioToSandbox): string =>
  message.type === 'stdin' ? Buffer.from(message.data).toString() : '';

void t.test('messages are lines, however the stream is chunked, and each chunk is acknowledged', async (t) => {
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
  t.match(pair.got[0], { id: 1, result: { text: 'grüße 🙂' } });
});

void t.test('several lines in one chunk are several messages', async (t) => {
  const pair = await startPair(t);
  const acked = pair.next((message) => message.type === 'ack');
  pair.post({ type: 'stdout', data: bytes(`${JSON.stringify(ping(1))}\n${JSON.stringify(ping(2))}\n`) });
  await acked;
  t.same(pair.got, [ping(1), ping(2)]);
});

void t.test('each sent message is one line of stdin', async (t) => {
  const pair = await startPair(t);
  const stdin = pair.next((message) => message.type === 'stdin');
  await pair.transport.send(ping(1));
  const message = await stdin;
  t.equal(textOf(message), `${JSON.stringify(ping(1))}\n`);
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
  t.match(pair.transport.exitReason, 'lost');
  t.equal(pair.transport.lost, true);
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

const request = (id: number | string, progressToken: number | string): JSONRPCMessage => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'x', _meta: { progressToken, other: 1 } },
});
const cancel = (requestId: number | string): JSONRPCMessage => ({
  jsonrpc: '2.0',
  method: 'notifications/cancelled',
  params: { requestId, reason: 'r' },
});
const progress = (progressToken: number | string): JSONRPCMessage => ({
  jsonrpc: '2.0',
  method: 'notifications/progress',
  params: { progressToken, progress: 1 },
});
const result = (id: number | string): JSONRPCMessage => ({ jsonrpc: '2.0', id, result: {} });

/** The ids that requests 1 to `count` have on the wire. */
async function idsOnTheWire(pair: Pair, count: number): Promise<string[]> {
  for (let id = 1; id <= count; id++) await pair.transport.send(request(id, id));
  const last = pair.next((message) => textOf(message).includes('the last'));
  await pair.transport.send({ jsonrpc: '2.0', method: 'notifications/the last' });
  await last;
  const lines = pair.sent.map((message) => JSON.parse(textOf(message)) as { id?: string });
  return lines.flatMap(({ id }) => id ?? []);
}

void t.test(
  'an id is the same in a request, its progress token and its cancellation; answers keep theirs',
  async (t) => {
    const pair = await startPair(t);
    pair.transport.useHandshake(HANDSHAKE, 2);
    const other: JSONRPCMessage = { jsonrpc: '2.0', method: 'notifications/other', params: { requestId: 7 } };
    const all = pair.next((message) => textOf(message).includes('notifications/other'));
    for (const message of [request(7, 7), cancel(7), result(5), other]) await pair.transport.send(message);
    await all;
    const sent = pair.sent.map((message) => JSON.parse(textOf(message)) as JSONRPCMessage);
    const id = (sent[0] as { id: string }).id;
    t.match(id, /^g2-7-[\w-]{16}$/);
    t.same(sent, [request(id, id), cancel(id), result(5), other]);
  },
);

void t.test('who has seen ids of a connection knows neither its next one nor those of another', async (t) => {
  const [one, other] = [await startPair(t), await startPair(t)];
  one.transport.useHandshake(HANDSHAKE, 0);
  other.transport.useHandshake(HANDSHAKE, 0);
  const ids = (await idsOnTheWire(one, 3)).concat(await idsOnTheWire(other, 3));
  t.equal(new Set(ids.map((id) => id.slice(-16))).size, 6, 'no proof occurs twice');
});

void t.test('answers with a guessed id, or to a client of another generation, are dropped', async (t) => {
  const [pair, earlier] = [await startPair(t), await startPair(t)];
  pair.transport.useHandshake(HANDSHAKE, 2);
  earlier.transport.useHandshake(HANDSHAKE, 2);
  const [one, two, three] = (await idsOnTheWire(pair, 3)) as [string, string, string];
  const theirs = await idsOnTheWire(earlier, 3);
  const acked = pair.next((message) => message.type === 'ack');
  const nameless = { jsonrpc: '2.0', error: { code: -32_700, message: 'parse error' } } as JSONRPCMessage;
  const guesses = [
    ...theirs,
    'g2-1',
    'g2-1-',
    'g2-',
    'g0-1',
    'warm-g2-1',
    1,
    'g2-1.5-x',
    `g2-4-${one.slice(-16)}`,
    one.replace('g2-1-', 'g2-2-'),
    one.replace('g2-1-', 'g2-01-'),
    `${two} `,
    three.slice(0, -1),
  ];
  const lines = [...guesses.flatMap((id) => [result(id), progress(id)]), progress(two), result(two), ping(3), nameless];
  pair.post({ type: 'stdout', data: bytes(lines.map((line) => `${JSON.stringify(line)}\n`).join('')) });
  await acked;
  t.same(pair.got, [progress(2), result(2), ping(3), nameless]);
  t.same(pair.errors, []);
});
