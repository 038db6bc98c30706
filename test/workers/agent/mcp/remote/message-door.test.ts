/** Responses whose frame is not quite by the book: line ends, types, statuses. */
import t from 'tap';
import type { ServerResponse } from 'node:http';
import { badAnswer, badSse, resultOf } from '../../../../helpers/bad-mcp.js';
import { call, caller, remotes, serve, textOf, type Teardown } from './remote-kit.js';

const ANSWERS = { 'tools/call x': resultOf({ content: 'fine' }) };

type Send = (response: ServerResponse, answer: string) => unknown;

async function callThrough(t: Teardown, send: Send): Promise<string> {
  const { url } = await serve(t, async (request, response) => {
    if (request.method !== 'POST') return response.writeHead(405).end();
    const answer = await badAnswer(ANSWERS, request);
    return answer === undefined ? response.writeHead(202).end() : send(response, answer);
  });
  const connection = await remotes(t, { bad: url }).get(caller(), 'bad');
  return textOf(await connection.callTool(call('x')));
}

const typed =
  (type: string | undefined, frame = (answer: string): string => answer, status = 200): Send =>
  (response, answer) =>
    response.writeHead(status, type === undefined ? {} : { 'content-type': type }).end(frame(answer));
const STREAM = 'text/event-stream';

const FRAMES: Record<string, Send> = {
  'a stream with CR alone': typed(STREAM, (answer) => `data: ${answer}\r\r`),
  'a stream with CR LF': typed(STREAM, (answer) => `event: message\r\ndata: ${answer}\r\n\r\n`),
  'an event without the empty line after it': typed(STREAM, (answer) => `data: ${answer}\n`),
  'an event whose last line does not end': typed(STREAM, (answer) => `data: ${answer}`),
  'no space after the colon': typed(STREAM, (answer) => `data:${answer}\n\n`),
  'another name of the event': typed(STREAM, (answer) => `event: response\ndata: ${answer}\n\n`),
  'a byte order mark before the stream': typed(STREAM, (answer) => `\uFEFFdata: ${answer}\n\n`),
  'an answer of several lines': typed(STREAM, (answer) => `data: ${answer.replace(',', ',\ndata: ')}\n\n`),
  'JSON alone in a stream': typed(STREAM, (answer) => `${answer}\n`),
  'the type of a stream in capitals': typed('Text/Event-Stream; Charset=UTF-8', (answer) => `data: ${answer}\n\n`),
  'events as JSON': typed('application/json', (answer) => `event: message\ndata: ${answer}\n\n`),
  'no type': typed(undefined),
  'JSON as text/plain': typed('text/plain'),
  'JSON as text/html': typed('text/html; charset=utf-8'),
  'another spelling of JSON': typed('application/json-rpc'),
  'JSON with 201': typed('application/json', undefined, 201),
  'JSON with 202': typed('application/json', undefined, 202),
  'a byte order mark before JSON': typed('application/json', (answer) => `\uFEFF${answer}`),
  'a batch': typed('application/json', (answer) => `[{"jsonrpc":"2.0","method":"notifications/x"},${answer}]`),
};

for (const [what, send] of Object.entries(FRAMES)) {
  void t.test(`${what} is read`, async (t) => {
    t.equal(await callThrough(t, send), 'fine');
  });
}

/** The stream stays open, and nothing more comes. */
const left: Send = (response, answer) =>
  response.writeHead(200, { 'content-type': STREAM }).write(`data: ${answer}\r\r`);

void t.test('an event that ends in CR is read at once, not with the next one', async (t) => {
  t.equal(await callThrough(t, left), 'fine');
});

for (const end of ['\r', '\r\n']) {
  void t.test(`the old transport with ${JSON.stringify(end)} is read`, async (t) => {
    const { url } = await serve(t, badSse(ANSWERS, end));
    const connection = await remotes(t, { bad: { url, type: 'sse' } }).get(caller(), 'bad');
    t.equal(textOf(await connection.callTool(call('x'))), 'fine');
  });
}

for (const [what, body, message] of [
  ['nothing', '', /it is empty/],
  ['half of it', '{"jsonrpc":"2.0","id":', /it is no JSON: \{"jsonrpc/],
  ['more parts than anybody reads', `{"a":[${'1,'.repeat(400_001)}1]}`, /dropped: it has more than/],
] as const) {
  void t.test(`${what} in place of JSON fails the call in words`, async (t) => {
    const { url } = await serve(t, async (request, response) => {
      const answer = request.method === 'POST' ? await badAnswer(ANSWERS, request) : undefined;
      if (answer === undefined) return response.writeHead(request.method === 'POST' ? 202 : 405).end();
      return response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(answer.includes('fine') ? body : answer);
    });
    const connection = await remotes(t, { bad: url }).get(caller(), 'bad');
    await t.rejects(connection.callTool(call('x')), { code: 'ERR_MCP', message });
  });
}
