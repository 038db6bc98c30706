/** A server as people have built it before: Socket.IO on one thread, and for each person a container of their own, made when they come. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import Anthropic from '@anthropic-ai/sdk';
import type { ContentBlockParam, MessageParam, Tool } from '@anthropic-ai/sdk/resources/messages';
import { Server, type Socket } from 'socket.io';
import { BareContainers, type BareContainer } from '../shared/bare-container.js';
import { benchConfig } from '../shared/work.js';
import { serve } from '../threads/serve.js';
import { collectHere } from './collect-here.js';
import type { ServerContract, ServerSetup } from './messages.js';
import { EVENT, MESSAGE, type Said } from './wire.js';

let containers: BareContainers | undefined;

serve<ServerContract>({ open, collect: collectHere }, async () => await containers?.removeAll());

async function open({ modelUrl, folder, instance }: ServerSetup): Promise<{ url: string }> {
  const all = (containers = new BareContainers(benchConfig(folder, {}), instance));
  const model = new Anthropic({ apiKey: 'bench', baseURL: modelUrl, logLevel: 'off' });
  const http = createServer();
  const server = new Server(http, { transports: ['websocket'] });
  server.on('connection', (socket) => {
    talk(socket, all, model).catch((error: Error) => say(socket, { type: 'end', text: '', error: error.message }));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return { url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}` };
}

async function talk(socket: Socket, all: BareContainers, model: Anthropic): Promise<void> {
  const making = all.make();
  socket.once('disconnect', () => void making.then((container) => container.remove()).catch(() => undefined));
  const container = await making;
  await container.handshake();
  const conversation = new Conversation(socket, container, model, await toolsOf(container));
  socket.on(MESSAGE, (text: string) => {
    conversation.turn(text).catch((error: Error) => say(socket, { type: 'end', text: '', error: error.message }));
  });
  say(socket, { type: 'ready' });
}

async function toolsOf(container: BareContainer): Promise<Tool[]> {
  const { result } = JSON.parse(await container.request('tools/list', {})) as {
    result: { tools: { name: string; description?: string; inputSchema: Tool.InputSchema }[] };
  };
  return result.tools.map(({ name, description = '', inputSchema }) => ({
    name,
    description,
    input_schema: { type: 'object', properties: inputSchema.properties ?? {}, required: inputSchema.required ?? [] },
  }));
}

/** Kept in memory alone. */
class Conversation {
  readonly #socket: Socket;
  readonly #container: BareContainer;
  readonly #model: Anthropic;
  readonly #tools: Tool[];
  readonly #messages: MessageParam[] = [];

  constructor(socket: Socket, container: BareContainer, model: Anthropic, tools: Tool[]) {
    this.#socket = socket;
    this.#container = container;
    this.#model = model;
    this.#tools = tools;
  }

  async turn(text: string): Promise<void> {
    this.#messages.push({ role: 'user', content: text });
    for (;;) {
      const stream = this.#model.messages.stream({
        model: 'claude-sonnet-5-5',
        max_tokens: 8_192,
        tools: this.#tools,
        messages: this.#messages,
      });
      stream.on('text', (delta) => say(this.#socket, { type: 'delta', text: delta }));
      const { content } = await stream.finalMessage();
      this.#messages.push({ role: 'assistant', content: content as ContentBlockParam[] });
      const results: ContentBlockParam[] = [];
      for (const block of content) {
        if (block.type !== 'tool_use') continue;
        const answer = await this.#container.request('tools/call', { name: block.name, arguments: block.input });
        results.push({ type: 'tool_result', tool_use_id: block.id, content: textOf(answer) });
      }
      if (results.length === 0) {
        say(this.#socket, {
          type: 'end',
          text: content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
        });
        return;
      }
      this.#messages.push({ role: 'user', content: results });
    }
  }
}

function textOf(line: string): string {
  const { result } = JSON.parse(line) as { result: { content: { text?: string }[] } };
  return result.content.map(({ text = '' }) => text).join('\n');
}

function say(socket: Socket, said: Said): void {
  socket.emit(EVENT, said);
}
