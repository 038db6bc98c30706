/** A model behind OpenAI's Chat Completions over HTTP: calls `list_files` under the same foreign id each time, and tells what it gave. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

interface ChatRequest {
  messages: { role: string; content: unknown }[];
  tools?: { function: { name: string } }[];
}

export interface OpenAiStandIn {
  url: string;
  close: () => Promise<void>;
}

export async function startOpenAi(): Promise<OpenAiStandIn> {
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat/completions`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const choices = answerTo(JSON.parse(await text(request)) as ChatRequest);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const choice of choices) {
    const chunk = { id: 'chat-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [choice] };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }
  response.end('data: [DONE]\n\n');
}

function answerTo({ messages, tools }: ChatRequest): object[] {
  const last = messages.at(-1);
  if (last?.role === 'tool') {
    const said = typeof last.content === 'string' ? last.content : JSON.stringify(last.content);
    return [piece({ role: 'assistant', content: 'found: ' }), piece({ content: said }), piece({}, 'stop')];
  }
  if (tools?.some((tool) => tool.function.name === 'list_files') !== true) {
    return [piece({ role: 'assistant', content: 'hello' }), piece({}, 'stop')];
  }
  const begun = { name: 'list_files', arguments: '' };
  return [
    piece({ role: 'assistant', content: '' }),
    piece({ tool_calls: [{ index: 0, id: 'functions.list_files:0', type: 'function', function: begun }] }),
    piece({ tool_calls: [{ index: 0, function: { arguments: '{"path":"/work' } }] }),
    piece({ tool_calls: [{ index: 0, function: { arguments: 'space"}' } }] }),
    piece({}, 'tool_calls'),
  ];
}

function piece(delta: object, finish: string | null = null): object {
  return { index: 0, delta, finish_reason: finish };
}
