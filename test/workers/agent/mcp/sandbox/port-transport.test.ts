import t from 'tap';
import { monitorEventLoopDelay } from 'node:perf_hooks';
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
  /** Resolves when so many messages have come. */
  nextMessage: (count: number) => Promise<void>;
  /** Resolves with the first answer. */
  result: Promise<void>;
  closed: Promise<void>;
}

async function startPair(t: { teardown: (fn: () => void) => unknown }): Promise<Pair> {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port2.close());
  const stderr: string[] = [];
  const transport = new PortTransport(port1, (text) => stderr.push(text));
  const closed = deferred<void>();
  const result = deferred<void>();
  const waits: { count: number; resolve: () => void }[] = [];
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
    nextMessage: (count) => {
      const { promise, resolve } = deferred<void>();
      waits.push({ count, resolve });
      return promise;
    },
    result: result.promise,
    closed: closed.promise,
  };
  transport.onmessage = (message) => {
    pair.got.push(message);
    if ('result' in message) result.resolve();
    for (const { count, resolve } of waits) if (pair.got.length >= count) resolve();
  };
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
  const line = Buffer.from(
    `${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: { text: 'grüße 🙂' } })}\n`,
  );
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
  t.match(pair.got[0], { id: 1, params: { text: 'grüße 🙂' } });
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

void t.test('a line over the limit is dropped up to its end, and the next is read', async (t) => {
  const pair = await startPair(t);
  const piece = Buffer.alloc(1_048_576, 'x');
  for (let sent = 0; sent < 100; sent++) pair.post({ type: 'stdout', data: piece });
  pair.post({ type: 'stdout', data: bytes(`\n${JSON.stringify(ping(1))}\n`) });
  await pair.nextMessage(1);
  t.same(pair.got, [ping(1)]);
  t.equal(pair.transport.exitReason, '');
});

void t.test('an answer that breaks JSON-RPC fails its call at once', async (t) => {
  const pair = await startPair(t);
  for (const id of [1, 2]) await pair.transport.send(request(id, id));
  pair.post({
    type: 'stdout',
    data: bytes('{"jsonrpc":"2.0","id":1,"error":{}}\n{"jsonrpc":"1.0","id":2,"result":{}}\n'),
  });
  await pair.nextMessage(2);
  t.match(pair.got, [
    { id: 1, error: { message: /error that has no message/ } },
    { id: 2, error: { message: /no JSON-RPC 2\.0 answer/ } },
  ]);
});

void t.test(
  'an answer that is too long, too deep, has too many parts or is broken fails its call, and no other',
  async (t) => {
    const pair = await startPair(t);
    for (const id of [1, 2, 3, 4, 5]) await pair.transport.send(request(id, id));
    const answer = (id: number, result: string): void =>
      pair.post({ type: 'stdout', data: bytes(`{"result":${result},"jsonrpc":"2.0","id":${id}}\n`) });
    answer(1, `{"text":"${'x'.repeat(17_000_000)}"}`);
    answer(2, `{"deep":${'['.repeat(100_000)}${']'.repeat(100_000)}}`);
    answer(3, `{"keys":{${'"a":1,'.repeat(1_000_000)}"b":1}}`);
    pair.post({ type: 'stdout', data: bytes('{"time":1,"id":5,"broken\n') }); // a program's own log
    answer(4, '{"text":"mixed up \u0001 with other output}');
    answer(5, '{}');
    await pair.nextMessage(5);
    t.match(pair.got, [
      { id: 1, error: { message: /longer than 16777216 bytes/ } },
      { id: 2, error: { message: /more than 200 levels/ } },
      { id: 3, error: { message: /more than 400000 parts/ } },
      { id: 4, error: { message: /no JSON/ } },
      { id: 5, result: {} },
    ]);
  },
);

const FLOODS = {
  'answers to nobody': '{"jsonrpc":"2.0","id":"g0-999","result":{}}',
  'progress of nothing':
    '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":9,"progress":1}}',
  'unknown notifications': '{"jsonrpc":"2.0","method":"notifications/boo"}',
  requests: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
  'lines that are no messages': 'no json',
  'empty lines': '',
  'empty objects': '{}',
  'objects that are nearly messages': '{"jsonrpc":"2.0","method":1,"params":[]}',
  'broken JSON': '{"jsonrpc":"2.0","id":',
};

for (const [what, line] of Object.entries(FLOODS)) {
  void t.test(`a flood of ${what} ends the connection with a reason, and the event loop turns meanwhile`, async (t) => {
    const pair = await startPair(t);
    const cut = pair.next((message) => message.type === 'cut');
    const piece = bytes(`${line}\n`.repeat(Math.ceil(65_536 / (line.length + 1))));
    // As the relay does: a window of bytes without acknowledgement, refilled in the same turn in which it is acknowledged.
    const post = (): void => pair.post({ type: 'stdout', data: piece });
    pair.far.on('message', ({ type }: StdioToSandbox) => type === 'ack' && post());
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    for (let sent = 0; sent < 16; sent++) post();
    t.match(await cut, { reason: /more than \d+ (messages that nobody asked for|lines that are not MCP messages)/ });
    await pair.closed;
    delay.disable();
    t.ok(delay.max < 500e6, `the longest turn took ${Math.round(delay.max / 1e6)} ms`);
    await t.rejects(pair.transport.send(ping(1)), { code: 'ERR_SANDBOX', message: /more than/ });
  });
}

void t.test('a notification that nobody knows reaches no client, and one that is known does', async (t) => {
  const pair = await startPair(t);
  const methods = ['notifications/boo', 'boo', 'notifications/progress', 'notifications/tools/list_changed'];
  const lines = methods.map((method) => JSON.stringify({ jsonrpc: '2.0', method, params: {} }));
  pair.post({ type: 'stdout', data: bytes(`${lines.join('\n')}\n`) });
  await pair.nextMessage(1);
  t.match(pair.got, [{ method: 'notifications/tools/list_changed' }]);
});

void t.test('1,500 plain lines, as of a program that logs to its server’s stdout, end nothing', async (t) => {
  const pair = await startPair(t);
  pair.post({ type: 'stdout', data: bytes('GET / 200\n'.repeat(1_500)) });
  pair.post({ type: 'stdout', data: bytes(`${JSON.stringify(ping(3))}\n`) });
  await pair.nextMessage(1);
  t.equal(pair.transport.exitReason, '');
});

void t.test('progress beyond its rate is dropped, and the result still comes', async (t) => {
  const pair = await startPair(t);
  await pair.transport.send(request(7, 7));
  pair.post({ type: 'stdout', data: bytes(`${JSON.stringify(progress(7))}\n`.repeat(9_000)) });
  pair.post({ type: 'stdout', data: bytes(`${JSON.stringify(result(7))}\n`) });
  await pair.result;
  t.ok(pair.got.length > 100 && pair.got.length < 8_000, `${pair.got.length} messages of 9,001`);
  t.equal(pair.transport.exitReason, '');
});

void t.test('chunks are acknowledged only after the event loop has turned', async (t) => {
  const pair = await startPair(t);
  const acked = pair.next((message) => message.type === 'ack');
  let turned = false;
  pair.transport.onmessage = () => void setImmediate(() => (turned = true));
  pair.post({ type: 'stdout', data: bytes(`${JSON.stringify(ping(1))}\n`) });
  await acked;
  t.equal(turned, true);
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

void t.test('an answer without an id fails the one call that waits, and none of it is believed', async (t) => {
  const pair = await startPair(t);
  pair.transport.useHandshake(HANDSHAKE, 2);
  await pair.transport.send(request(1, 1));
  const forged = '{"jsonrpc":"2.0","id":null,"result":{"content":[{"type":"text","text":"forged"}]}}\n';
  pair.post({ type: 'stdout', data: bytes(forged) });
  await pair.nextMessage(1);
  t.match(pair.got, [{ id: 1, error: { message: /does not say to which request/ } }]);
  for (const id of [2, 3]) await pair.transport.send(request(id, id));
  pair.post({ type: 'stdout', data: bytes(`${forged}${JSON.stringify(ping(4))}\n`) });
  await pair.nextMessage(2);
  t.same(pair.got.slice(1), [ping(4)], 'of two calls nobody knows which it is');
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
  t.same(pair.got, [progress(2), { jsonrpc: '2.0', id: 2, result: { content: [] } }, ping(3), nameless]);
  t.same(pair.errors, []);
});
