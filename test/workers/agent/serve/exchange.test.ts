import pino from 'pino';
import t from 'tap';
import type { McpExchange, McpStreamPart } from '../../../../workers/agent/contract/mcp.js';
import { HttpExchange } from '../../../../workers/agent/serve/exchange.js';
import { deferred } from '../../../helpers/processes.js';

const log = pino({ level: 'silent' });
const FROM: McpExchange = {
  exchange: 'e',
  user: 'ann',
  session: 's',
  by: 'id',
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: '{"jsonrpc":"2.0","id":7,"method":"tools/list"}',
};

function sse(start: (controller: ReadableStreamDefaultController<Uint8Array>) => void, cancel?: () => void): Response {
  const body = new ReadableStream<Uint8Array>({ start, ...(cancel ? { cancel } : {}) });
  return new Response(body, {
    headers: { 'content-type': 'text/event-stream', 'mcp-session-id': 's.1', 'x-own': 'no' },
  });
}

t.test('an answer is passed on with the headers that are a client’s business', async (t) => {
  const exchange = new HttpExchange(FROM, { log, maxUnsentBytes: 100, stream: async () => ({ open: true }) });
  t.strictSame(exchange.json, { jsonrpc: '2.0', id: 7, method: 'tools/list' });
  const answer = await exchange.answer(Response.json({ ok: true }, { status: 400, headers: { 'x-own': 'no' } }));
  t.strictSame(answer, { status: 400, headers: [['content-type', 'application/json']], body: '{"ok":true}' });
});

t.test('a stream goes to the client part by part, in order, each when the one before has been taken', async (t) => {
  const parts: McpStreamPart[] = [];
  let under = 0;
  const exchange = new HttpExchange(FROM, {
    log,
    maxUnsentBytes: 1_000,
    stream: async (part) => {
      t.equal(under++, 0);
      parts.push(part);
      await new Promise((resolve) => setImmediate(resolve));
      under--;
      return { open: true };
    },
  });
  const encoder = new TextEncoder();
  const response = sse((controller) => {
    // A character that is cut in two.
    const bytes = encoder.encode('data: grüße\n\n');
    controller.enqueue(bytes.subarray(0, 9));
    controller.enqueue(bytes.subarray(9));
    controller.close();
  });
  t.equal(await exchange.answer(response), null);
  t.strictSame(parts[0]?.head, {
    headers: [
      ['content-type', 'text/event-stream'],
      ['mcp-session-id', 's.1'],
    ],
    requestId: 7,
  });
  t.equal(parts.map(({ text }) => text).join(''), 'data: grüße\n\n');
});

t.test('half a surrogate pair leaves in none of the forms of an answer', async (t) => {
  const message = { jsonrpc: '2.0', id: 7, result: { 'a\ud83d': 'b\udc00 \\ud83d 👋' } };
  const clean = { jsonrpc: '2.0', id: 7, result: { 'a\ufffd': 'b\ufffd \\ud83d 👋' } };
  const event = `data: ${JSON.stringify(message)}\n\n`;
  const stream = (): Response =>
    sse((controller) => {
      controller.enqueue(new TextEncoder().encode(event));
      controller.close();
    });
  for (const accept of ['application/json', 'text/event-stream', '*/*']) {
    for (const response of [
      stream(),
      new Response(JSON.stringify(message), { headers: { 'content-type': 'application/json' } }),
    ]) {
      const parts: string[] = [];
      const exchange = new HttpExchange(
        { ...FROM, headers: { ...FROM.headers, accept } },
        { log, maxUnsentBytes: 1_000, stream: async ({ text }) => ({ open: parts.push(text) > 0 }) },
      );
      const answer = await exchange.answer(response);
      const text = (answer?.body ?? parts.join('')).replace(/^(?:event: message\n)?data: /, '');
      t.same(JSON.parse(text), clean, accept);
      t.notMatch(text, /[^\\]\\ud[89a-f]/, accept);
    }
  }
});

t.test('a client that takes nothing has its request aborted past the limit of unsent bytes', async (t) => {
  const cancelled = deferred<void>();
  const blocked = deferred<{ open: boolean }>();
  const exchange = new HttpExchange(FROM, {
    log,
    maxUnsentBytes: 50,
    stream: async ({ head }) => (head ? { open: true } : blocked.promise),
  });
  const response = sse(
    (controller) => {
      for (let index = 0; index < 10; index++) controller.enqueue(new TextEncoder().encode('data: 0123456789\n\n'));
    },
    () => cancelled.resolve(),
  );
  await t.rejects(exchange.answer(response), { code: 'ERR_UNAVAILABLE' });
  await cancelled.promise;
  t.ok(exchange.signal.aborted);
});

t.test('a client that goes ends the stream', async (t) => {
  const cancelled = deferred<void>();
  const begun = deferred<void>();
  const exchange = new HttpExchange(FROM, {
    log,
    maxUnsentBytes: 50,
    stream: async () => {
      begun.resolve();
      return { open: true };
    },
  });
  const answered = exchange.answer(
    sse(
      () => undefined,
      () => cancelled.resolve(),
    ),
  );
  await begun.promise;
  exchange.abort();
  await cancelled.promise;
  t.equal(await answered, null);
  const gone = new HttpExchange(FROM, { log, maxUnsentBytes: 50, stream: async () => ({ open: false }) });
  t.equal(await gone.answer(sse(() => undefined)), null, 'also when it is the main thread that says so');
  t.ok(gone.signal.aborted);
});
