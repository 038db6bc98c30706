/** MCP servers that answer exactly as a test writes, over stdio and over HTTP. Runs in tests. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * Method, or `tools/call NAME`, → the answer as it is on the wire, with `"$ID"` for the request's id. What is not there is
 * answered with “method not found”, and a notification with nothing. A command dies of `DIE`.
 */
export type Answers = Readonly<Record<string, string>>;

export const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: '$ID',
  result: {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {}, prompts: {}, resources: {} },
    serverInfo: { name: 'bad', version: '1' },
  },
});

/** An answer that is well but for its result. */
export function resultOf(result: unknown): string {
  return `{"jsonrpc":"2.0","id":"$ID","result":${JSON.stringify(result)}}`;
}

const PROGRAM = `
const answers = JSON.parse(process.env.ANSWERS);
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  const answer = answers[method === 'tools/call' ? method + ' ' + params.name : method];
  if (answer === 'DIE') throw new Error('told to die');
  const unknown = '{"jsonrpc":"2.0","id":"$ID","error":{"code":-32601,"message":"method not found"}}';
  if (id !== undefined || answer !== undefined)
    process.stdout.write((answer ?? unknown).replaceAll('"$ID"', JSON.stringify(id)) + '\\n');
});`;

/** An entry of `mcpServers`. */
export function badCommand(answers: Answers): object {
  return {
    command: process.execPath,
    args: ['-e', PROGRAM],
    env: { ANSWERS: JSON.stringify({ initialize: INITIALIZE, ...answers }) },
  };
}

interface Rpc {
  id?: number | string;
  method: string;
  params?: { name?: string };
}

/** The answer to a request; undefined for a notification. */
export async function badAnswer(
  answers: Answers,
  request: IncomingMessage | Iterable<Buffer>,
): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString()) as Rpc;
  const answer = { initialize: INITIALIZE, ...answers }[
    method === 'tools/call' ? `${method} ${params?.name ?? ''}` : method
  ];
  if (id === undefined) return undefined;
  const unknown = '{"jsonrpc":"2.0","id":"$ID","error":{"code":-32601,"message":"method not found"}}';
  return (answer ?? unknown).replaceAll('"$ID"', JSON.stringify(id));
}

/** A handler that answers as JSON, or as a stream of one event. */
export function badHttp(answers: Answers, how: 'json' | 'stream') {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const answer = await badAnswer(answers, request);
    if (answer === undefined) return void response.writeHead(202).end();
    if (how === 'json') response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
    else response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`data: ${answer}\n\n`);
  };
}

/** The HTTP+SSE of protocol 2024-11-05: answers come by the stream that was opened first. `end`: of a line. */
export function badSse(answers: Answers, end = '\n') {
  let stream: ServerResponse | undefined;
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.method === 'GET') {
      stream = response.writeHead(200, { 'content-type': 'text/event-stream' });
      stream.write(`event: endpoint${end}data: /messages${end}${end}`);
      return;
    }
    const answer = await badAnswer(answers, request);
    response.writeHead(202).end();
    if (answer !== undefined) stream?.write(`data: ${answer}${end}${end}`);
  };
}
