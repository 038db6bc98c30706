/** An MCP transport over the MessagePort that relays a sandbox's stdio. Agent threads. */
import { serializeMessage, type JSONRPCMessage, type Transport } from '@modelcontextprotocol/client';
import type { MessagePort } from 'node:worker_threads';
import { FairleadError } from '../../../../src/shared/errors.js';
import { McpInbox } from '../../../../src/shared/mcp-inbox.js';
import type { StdioFromSandbox, StdioToSandbox } from '../../../docker/contract/messages.js';
import type { Handshake } from '../../../docker/contract/messages.js';
import { GenerationIds } from './generation-ids.js';

/** The longest JSON-RPC line a server may send; of a longer one only its call fails. */
const MAX_LINE_BYTES = 16 * 1_048_576;

/** Acknowledges stdout when it has been read and the event loop has turned, so that the relay is never ahead by more than its window. */
export class PortTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** By `stderr` and `pid` the SDK recognises stdio, where a server's silence means that it speaks the legacy protocol. */
  readonly stderr = null;
  readonly pid = null;
  readonly #port: MessagePort;
  readonly #inbox = new McpInbox({
    maxLineBytes: MAX_LINE_BYTES,
    onMessage: (line) => {
      this.heardAt = performance.now();
      const message = this.#ids ? this.#ids.incoming(line) : line;
      if (message) this.onmessage?.(message);
    },
    onError: (error) => this.onerror?.(error),
    onFlood: (error) => this.#cut(error),
  });
  readonly #encoder = new TextEncoder();
  readonly #onStderr: (text: string) => void;
  #closed = false;
  #initialize: object | undefined;
  /** Set where the stream may have had other clients. */
  #ids: GenerationIds | undefined;
  /** Why the sandbox ended; '' while it lives. */
  exitReason = '';
  /** Its last message, ms on the monotonic clock. */
  heardAt = 0;
  /** We ended it, because of what it sent. */
  cut = false;
  /** The stream broke without an exit message: the sandbox may still run. */
  lost = false;

  constructor(port: MessagePort, onStderr: (text: string) => void) {
    this.#port = port;
    this.#onStderr = onStderr;
  }

  /** The beginning of the server's output that is no MCP. */
  get stray(): string {
    return this.#inbox.stray;
  }

  async start(): Promise<void> {
    this.#port.on('message', (message: StdioFromSandbox) => this.#receive(message));
    this.#port.on('close', () => {
      this.#inbox.after(() => {
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
    this.#inbox.requireIds();
  }

  async send(message: JSONRPCMessage): Promise<void> {
    if (this.#initialize && 'method' in message) {
      if (message.method === 'initialize' && 'id' in message) {
        const answer = { jsonrpc: '2.0', id: message.id, result: this.#initialize } as JSONRPCMessage;
        queueMicrotask(() => this.#inbox.after(() => this.onmessage?.(answer)));
        return;
      }
      if (message.method === 'notifications/initialized') return;
    }
    if (this.#closed) throw new FairleadError('ERR_SANDBOX', this.exitReason || 'the sandbox is closed');
    const sent = this.#ids?.outgoing(message) ?? message;
    this.#inbox.noteSent(sent);
    // Not a Buffer: a short one is a view of an 8 KB pool, and all of the pool would cross.
    this.#post({ type: 'stdin', data: this.#encoder.encode(serializeMessage(sent)) });
  }

  noteChanges(running: number, session?: string): void {
    if (!this.#closed) this.#post({ type: 'changes', running, ...(session !== undefined && { session }) });
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
        this.#read(message.data);
        return;
      case 'stderr':
        this.#onStderr(message.text);
        return;
      case 'exit':
        this.#inbox.after(() => this.#end(message.reason));
        return;
    }
  }

  #read({ buffer, byteOffset, byteLength }: Uint8Array): void {
    this.#inbox.push(Buffer.from(buffer, byteOffset, byteLength), () => this.#post({ type: 'ack', bytes: byteLength }));
  }

  /** The sandbox is healthy, only its stream is not: its files are saved and it is replaced. */
  #cut(error: Error): void {
    if (this.#closed) return;
    this.onerror?.(error);
    this.cut = true;
    this.#post({ type: 'cut', reason: error.message });
    this.#end(error.message);
  }

  #post(message: StdioToSandbox): void {
    this.#port.postMessage(message);
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.exitReason = reason;
    this.#inbox.close();
    this.#port.close();
    this.onclose?.();
  }
}
