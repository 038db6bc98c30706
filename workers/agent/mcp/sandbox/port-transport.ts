/** An MCP transport over the MessagePort that relays a sandbox's stdio. Agent threads. */
import { serializeMessage, type JSONRPCMessage, type Transport } from '@modelcontextprotocol/client';
import type { MessagePort } from 'node:worker_threads';
import { FairleadError } from '../../../../src/shared/errors.js';
import { McpLines } from '../../../../src/shared/mcp-lines.js';
import type { StdioFromSandbox, StdioToSandbox } from '../../../docker/contract/messages.js';
import type { Handshake } from '../../../docker/contract/messages.js';
import { GenerationIds } from './generation-ids.js';

/** The longest JSON-RPC line a server may send; a longer one ends the connection, not the thread. */
const MAX_LINE_BYTES = 16 * 1_048_576;

/** Acknowledges stdout as it parses it, so that the relay is never ahead by more than its window. */
export class PortTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** By `stderr` and `pid` the SDK recognises stdio, where a server's silence means that it speaks the legacy protocol. */
  readonly stderr = null;
  readonly pid = null;
  readonly #port: MessagePort;
  readonly #lines = new McpLines(MAX_LINE_BYTES);
  readonly #encoder = new TextEncoder();
  readonly #onStderr: (text: string) => void;
  #closed = false;
  #initialize: object | undefined;
  /** Set where the stream may have had other clients. */
  #ids: GenerationIds | undefined;
  /**
   * Delivers messages one microtask apart, and the end after them: the client runs a progress handler one microtask late,
   * and drops the progress when the result follows in the same chunk.
   */
  #delivered: Promise<void> = Promise.resolve();
  /** Why the sandbox ended; '' while it lives. */
  exitReason = '';
  /** The stream broke without an exit message: the sandbox may still run. */
  lost = false;

  constructor(port: MessagePort, onStderr: (text: string) => void) {
    this.#port = port;
    this.#onStderr = onStderr;
  }

  /** The beginning of the server's output that is no MCP. */
  get stray(): string {
    return this.#lines.stray;
  }

  async start(): Promise<void> {
    this.#port.on('message', (message: StdioFromSandbox) => this.#receive(message));
    this.#port.on('close', () => {
      this.#deliver(() => {
        this.lost = !this.#closed;
        this.#end('the connection to the sandbox was lost');
      });
    });
  }

  /**
   * Uses the handshake of before the lease: `initialize` gets the stored answer, and no message crosses. (A modern client
   * gets it when it connects, and does not ask.) `generation`: how many clients the server had before; its answers to those
   * are dropped.
   */
  useHandshake(handshake: Handshake, generation: number): void {
    if (handshake.era === 'legacy') this.#initialize = handshake.initialize;
    this.#ids = new GenerationIds(generation);
  }

  async send(message: JSONRPCMessage): Promise<void> {
    if (this.#initialize && 'method' in message) {
      if (message.method === 'initialize' && 'id' in message) {
        const answer = { jsonrpc: '2.0', id: message.id, result: this.#initialize } as JSONRPCMessage;
        this.#deliver(() => this.onmessage?.(answer));
        return;
      }
      if (message.method === 'notifications/initialized') return;
    }
    if (this.#closed) throw new FairleadError('ERR_SANDBOX', this.exitReason || 'the sandbox is closed');
    // Not a Buffer: a short one is a view of an 8 KB pool, and all of the pool would cross.
    this.#post({
      type: 'stdin',
      data: this.#encoder.encode(serializeMessage(this.#ids?.outgoing(message) ?? message)),
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#post({ type: 'close' });
    this.#end(''); // closed by us, so without a reason: the client does so when a handshake fails
  }

  /** Ends the connection and lets the sandbox live: the docker thread keeps it for the session, as after a crash. */
  leave(): void {
    this.#end('');
  }

  #receive(message: StdioFromSandbox): void {
    if (this.#closed) return;
    switch (message.type) {
      case 'stdout':
        this.#parse(message.data);
        return;
      case 'stderr':
        this.#onStderr(message.text);
        return;
      case 'exit':
        this.#deliver(() => this.#end(message.reason));
        return;
    }
  }

  #parse(data: Uint8Array): void {
    try {
      const chunk = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      for (const line of this.#lines.read(chunk)) {
        const message = this.#ids ? this.#ids.incoming(line) : line;
        if (message) this.#deliver(() => this.onmessage?.(message));
      }
    } catch (error) {
      this.onerror?.(error as Error);
      this.#post({ type: 'close' });
      this.#end((error as Error).message);
      return;
    }
    this.#deliver(() => this.#post({ type: 'ack', bytes: data.byteLength }));
  }

  #deliver(work: () => void): void {
    this.#delivered = this.#delivered.then(work).catch((error: unknown) => this.onerror?.(error as Error));
  }

  #post(message: StdioToSandbox): void {
    this.#port.postMessage(message);
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.exitReason = reason;
    this.#lines.takeRest();
    this.#port.close();
    this.onclose?.();
  }
}
