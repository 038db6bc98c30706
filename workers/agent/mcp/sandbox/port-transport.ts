/** An MCP transport over the MessagePort that relays a sandbox's stdio. Runs in agent threads. */
import { serializeMessage, type JSONRPCMessage, type Transport } from '@modelcontextprotocol/client';
import type { MessagePort } from 'node:worker_threads';
import { FairleadError } from '../../../../src/shared/errors.js';
import { McpLines } from '../../../../src/shared/mcp-lines.js';
import type { StdioFromSandbox, StdioToSandbox } from '../../../docker/contract/messages.js';
import type { Handshake } from '../../../docker/contract/messages.js';
import { GenerationIds } from './generation-ids.js';

/** The longest JSON-RPC line a server may send; a longer one ends the connection, not the thread. */
const MAX_LINE_BYTES = 16 * 1_048_576;

/** JSON lines over the port, with stdout acknowledged as it is parsed, so that the relay never runs ahead by more than its window. */
export class PortTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** By these two the SDK's probe knows that silence on a pipe means a server of the older era. */
  readonly stderr = null;
  readonly pid = null;
  readonly #port: MessagePort;
  readonly #lines = new McpLines(MAX_LINE_BYTES);
  readonly #encoder = new TextEncoder();
  readonly #onStderr: (text: string) => void;
  #closed = false;
  #initialize: object | undefined;
  /** Where the wire had other clients, or may have had. */
  #ids: GenerationIds | undefined;
  /**
   * Messages are handed on one microtask apart, and the end after them: the client runs a progress handler a microtask
   * late, and drops it when the result comes in the same chunk.
   */
  #delivered: Promise<void> = Promise.resolve();
  /** Why the other side ended, in plain words; '' while it lives. */
  exitReason = '';
  /** The stream has broken without a word from the sandbox, which may well live on. */
  lost = false;

  constructor(port: MessagePort, onStderr: (text: string) => void) {
    this.#port = port;
    this.#onStderr = onStderr;
  }

  /** The beginning of what the server printed that is no MCP. */
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
   * The sandbox's server was greeted before it was leased: what it said to `initialize` is given again, and nothing
   * crosses. (In the newer era the client is given what it said when it connects: it does not ask.) `generation`: how
   * many clients it had before; what it still says to those is dropped.
   */
  greeted(handshake: Handshake, generation: number): void {
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
    // Not a Buffer: a short one is a view of a pool of 8 KB, and all of it would cross.
    this.#post({
      type: 'stdin',
      data: this.#encoder.encode(serializeMessage(this.#ids?.outgoing(message) ?? message)),
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#post({ type: 'close' });
    this.#end(''); // by us, as the client does when a handshake fails: no end of the other side
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
