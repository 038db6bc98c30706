/** A server as one builds it with the Claude Agent SDK: a WebSocket for each person, and behind it a session, which is a process. */
import { mkdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { once } from 'node:events';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import { serve } from '../threads/serve.js';
import { collectHere } from './collect-here.js';
import type { ServerContract, ServerSetup } from './messages.js';
import type { Message, Said } from './wire.js';

/** As far as this server uses it: the package is installed on demand, so its types are not there. */
interface Sdk {
  query: (request: { prompt: AsyncIterable<UserMessage>; options: Record<string, unknown> }) => AsyncIterable<Told>;
}

interface UserMessage {
  type: 'user';
  message: { role: 'user'; content: string };
  parent_tool_use_id: null;
  session_id: string;
}

type Told =
  | { type: 'stream_event'; event: { type: string; delta?: { type: string; text?: string } } }
  | { type: 'result'; subtype: string; is_error?: boolean; result?: string; errors?: string[] }
  | { type: 'assistant' | 'user' | 'system' };

const sockets = new Set<WebSocket>();
const ends: Promise<unknown>[] = [];

serve<ServerContract>({ open, collect: collectHere }, async () => {
  for (const socket of sockets) socket.terminate();
  await Promise.allSettled(ends);
});

async function open(setup: ServerSetup): Promise<{ url: string }> {
  const path = join(setup.sdk, 'node_modules', '@anthropic-ai', 'claude-agent-sdk', 'sdk.mjs');
  const sdk = (await import(pathToFileURL(path).href)) as Sdk;
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  let count = 0;
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.terminate());
    const ended = talk(sdk, socket, { ...setup, folder: join(setup.folder, String(++count)) }).catch((error: Error) => {
      if (socket.readyState === socket.OPEN) send(socket, { type: 'end', text: '', error: error.message });
    });
    ends.push(ended);
    void ended.finally(() => sockets.delete(socket));
  });
  await once(server, 'listening');
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function talk(sdk: Sdk, socket: WebSocket, { modelUrl, folder }: ServerSetup): Promise<void> {
  const messages = new Messages();
  const abortController = new AbortController();
  socket.on('message', (data: RawData) => {
    messages.push((JSON.parse((data as Buffer).toString()) as Message).text);
  });
  socket.once('close', () => {
    messages.end();
    abortController.abort();
  });
  const home = join(folder, 'home');
  await mkdir(home, { recursive: true });
  const told = sdk.query({
    prompt: messages,
    options: {
      abortController,
      cwd: folder,
      model: 'claude-sonnet-5-5',
      includePartialMessages: true,
      allowedTools: ['Read'],
      additionalDirectories: [join(folder, '..')],
      settingSources: [],
      env: {
        PATH: process.env['PATH'],
        HOME: home,
        ANTHROPIC_BASE_URL: modelUrl,
        ANTHROPIC_API_KEY: 'bench',
        // Nothing outside this machine is asked.
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        DISABLE_TELEMETRY: '1',
        DISABLE_AUTOUPDATER: '1',
      },
    },
  });
  send(socket, { type: 'ready' });
  for await (const message of told) relay(socket, message);
}

function relay(socket: WebSocket, told: Told): void {
  if (told.type === 'stream_event') {
    const { delta } = told.event;
    if (delta?.type === 'text_delta') send(socket, { type: 'delta', text: delta.text ?? '' });
  } else if (told.type === 'result') {
    const error =
      told.is_error === true ? `${told.subtype} ${told.errors?.join('; ') ?? told.result ?? ''}` : undefined;
    send(socket, { type: 'end', text: told.result ?? '', ...(error === undefined ? {} : { error }) });
  }
}

function send(socket: WebSocket, said: Said): void {
  socket.send(JSON.stringify(said));
}

/** The SDK reads a person's messages from this iterator, which ends when the person leaves. */
class Messages implements AsyncIterable<UserMessage> {
  readonly #waiting: string[] = [];
  #wake: (() => void) | undefined;
  #over = false;

  push(text: string): void {
    this.#waiting.push(text);
    this.#wake?.();
  }

  end(): void {
    this.#over = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<UserMessage> {
    while (!this.#over) {
      const text = this.#waiting.shift();
      if (text === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else yield { type: 'user', message: { role: 'user', content: text }, parent_tool_use_id: null, session_id: '' };
    }
  }
}
