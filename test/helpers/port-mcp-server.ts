/** A real MCP server (the SDK's) at the sandbox's end of a stdio port: what the docker thread would have started, without the container. */
import {
  ReadBuffer,
  serializeMessage,
  type ClientCapabilities,
  type JSONRPCMessage,
  type McpServer,
  type Transport,
} from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import type { MessagePort } from 'node:worker_threads';
import { capabilitiesOf } from '../../src/shared/mcp-capabilities.js';
import type { StdioFromSandbox, StdioToSandbox } from '../../workers/docker/contract/messages.js';
import type { Handshake } from '../../workers/docker/contract/messages.js';
import { deferred } from './processes.js';

class PortServerTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: NonNullable<Transport['onmessage']>;
  readonly #port: MessagePort;
  readonly #buffer = new ReadBuffer();
  #closed = false;
  #stopped = false;
  #onPing: () => void = () => undefined;
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

  stop(): void {
    this.#stopped = true;
  }

  pinged(times: number): Promise<void> {
    const { promise, resolve } = deferred<void>();
    this.#onPing = () => {
      if (--times === 0) resolve();
    };
    return promise;
  }

  #receive(message: StdioToSandbox): void {
    if (this.#stopped && message.type === 'stdin') return;
    switch (message.type) {
      case 'stdin':
        this.#buffer.append(Buffer.from(message.data));
        for (let next = this.#buffer.readMessage(); next !== null; next = this.#buffer.readMessage()) {
          if ('method' in next && next.method === 'ping') this.#onPing();
          this.onmessage?.(next);
        }
        return;
      case 'changes':
        return;
      case 'ack':
        this.acked += message.bytes;
        return;
      case 'cut':
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
const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {} },
  serverInfo: { name: 'test', version: '1' },
};
export const HANDSHAKE: Handshake = { era: 'legacy', initialize: INITIALIZE };

export interface PortServer {
  stdout(text: string): void;
  stderr(text: string): void;
  exit(code: number | null, reason: string): void;
  /** From now on it reads and answers nothing, as a stopped process. */
  stop(): void;
  /** Resolves when it was asked for so many signs of life. */
  pinged(times: number): Promise<void>;
  /** Bytes of stdout that the other side has acknowledged. */
  acked(): number;
  /** Resolves when the port is closed, by either side. */
  closed: Promise<void>;
  close(): Promise<void>;
}

/** As the docker thread does, long before the lease; the answer stays with it. */
async function greet(transport: PortServerTransport, capabilities: ClientCapabilities): Promise<void> {
  const answered = deferred<void>();
  transport.send = async () => answered.resolve();
  const { protocolVersion } = INITIALIZE;
  const params = { protocolVersion, capabilities, clientInfo: { name: 'test', version: '1' } };
  transport.onmessage?.({ jsonrpc: '2.0', id: 'warm-0', method: 'initialize', params });
  await answered.promise;
  Reflect.deleteProperty(transport, 'send');
  transport.onmessage?.({ jsonrpc: '2.0', method: 'notifications/initialized' });
}

export async function serveOnPort(
  port: MessagePort,
  server: McpServer,
  capabilities = capabilitiesOf({ image: 'test', elicitation: true, roots: true }),
): Promise<PortServer> {
  const transport = new PortServerTransport(port);
  const closed = deferred<void>();
  port.once('close', () => closed.resolve());
  await server.connect(transport);
  await greet(transport, capabilities);
  return portServer(transport, closed.promise);
}

/** What a lease hands over with a server of the newer era. */
export const MODERN_HANDSHAKE: Handshake = {
  era: 'modern',
  discover: {
    supportedVersions: ['2026-07-28'],
    capabilities: { tools: {} },
    resultType: 'complete',
    ttlMs: 0,
    cacheScope: 'private',
  },
};

export function serveModernOnPort(port: MessagePort, factory: () => McpServer): PortServer {
  const transport = new PortServerTransport(port);
  const closed = deferred<void>();
  port.once('close', () => closed.resolve());
  serveStdio(factory, { transport, legacy: 'reject' });
  return portServer(transport, closed.promise);
}

function portServer(transport: PortServerTransport, closed: Promise<void>): PortServer {
  return {
    stdout: (text) => transport.stdout(text),
    stderr: (text) => transport.stderr(text),
    exit: (code, reason) => transport.exit(code, reason),
    stop: () => transport.stop(),
    pinged: (times) => transport.pinged(times),
    acked: () => transport.acked,
    closed,
    close: () => transport.close(),
  };
}
