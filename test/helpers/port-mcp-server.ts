/** A real MCP server (the SDK's) at the sandbox's end of a stdio port: what the docker thread would have started, without the container. */
import {
  ReadBuffer,
  serializeMessage,
  type JSONRPCMessage,
  type McpServer,
  type Transport,
} from '@modelcontextprotocol/server';
import type { MessagePort } from 'node:worker_threads';
import type { StdioFromSandbox, StdioToSandbox } from '../../workers/docker/messages.js';
import type { Handshake } from '../../workers/docker/waiting-server.js';
import { deferred } from './processes.js';

class PortServerTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: NonNullable<Transport['onmessage']>;
  readonly #port: MessagePort;
  readonly #buffer = new ReadBuffer();
  #closed = false;
  acked = 0;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  async start(): Promise<void> {
    this.#port.on('message', (message: StdioToSandbox) => this.#receive(message));
    this.#port.on('close', () => this.#end());
  }

  async send(message: JSONRPCMessage): Promise<void> {
    this.stdout(serializeMessage(message));
  }

  async close(): Promise<void> {
    this.#port.close();
    this.#end();
  }

  /** Whatever a process may print, JSON-RPC or not. */
  stdout(text: string): void {
    this.#post({ type: 'stdout', data: Buffer.from(text) });
  }

  stderr(text: string): void {
    this.#post({ type: 'stderr', text });
  }

  /** The process has ended, and says so with its last message. */
  exit(code: number | null, reason: string): void {
    this.#post({ type: 'exit', code, reason });
    this.#port.close();
  }

  #post(message: StdioFromSandbox): void {
    if (!this.#closed) this.#port.postMessage(message);
  }

  #receive(message: StdioToSandbox): void {
    switch (message.type) {
      case 'stdin':
        this.#buffer.append(Buffer.from(message.data));
        for (let next = this.#buffer.readMessage(); next !== null; next = this.#buffer.readMessage()) {
          this.onmessage?.(next);
        }
        return;
      case 'ack':
        this.acked += message.bytes;
        return;
      case 'close':
        this.#port.close();
        return;
    }
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onclose?.();
  }
}

/** What a lease hands over with such a server: the docker thread has greeted it already. */
export const HANDSHAKE: Handshake = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {} },
  serverInfo: { name: 'test', version: '1' },
};

export interface PortServer {
  stdout(text: string): void;
  stderr(text: string): void;
  exit(code: number | null, reason: string): void;
  /** Bytes of stdout that the other side has acknowledged. */
  acked(): number;
  /** Resolves when the port is closed, by either side. */
  closed: Promise<void>;
  close(): Promise<void>;
}

export async function serveOnPort(port: MessagePort, server: McpServer): Promise<PortServer> {
  const transport = new PortServerTransport(port);
  const closed = deferred<void>();
  port.once('close', () => closed.resolve());
  await server.connect(transport);
  return {
    stdout: (text) => transport.stdout(text),
    stderr: (text) => transport.stderr(text),
    exit: (code, reason) => transport.exit(code, reason),
    acked: () => transport.acked,
    closed: closed.promise,
    close: () => transport.close(),
  };
}
