/** An MCP transport over the stdio of an untrusted process on the host. Agent threads. */
import { serializeMessage, type JSONRPCMessage, type Transport } from '@modelcontextprotocol/client';
import { atMost } from '../../../../src/shared/abort.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { McpLines } from '../../../../src/shared/mcp-lines.js';
import type { HostProcess } from './host-process.js';

/** The longest JSON-RPC line a server may send; a longer one ends the connection, not the thread. */
const MAX_LINE_BYTES = 16 * 1_048_576;
/** Limit of unread input, not counting the newest message. */
const STDIN_WAITING_BYTES = 4 * 1_048_576;
/** The wait for output after the exit: a process that it left behind may hold its stdout open. */
const LAST_OUTPUT_MS = 1_000;

export class ProcessTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** By `stderr` and `pid` the SDK recognises stdio, where a server's silence means that it speaks the legacy protocol. */
  readonly stderr = null;
  readonly pid: number;
  readonly #process: HostProcess;
  readonly #lines = new McpLines(MAX_LINE_BYTES);
  /** Delivers messages one microtask apart, as in PortTransport: else progress in the same chunk as its result is lost. */
  #delivered: Promise<void> = Promise.resolve();
  #closed = false;
  /** Why the process ended; '' while it lives, and when we closed it. */
  exitReason = '';

  constructor(process: HostProcess, onStderr: (chunk: Buffer) => void) {
    this.#process = process;
    this.pid = process.pid;
    process.stderr.on('data', onStderr);
    process.stderr.on('error', () => undefined); // stderr carries no MCP
  }

  async start(): Promise<void> {
    const { stdout, exited } = this.#process;
    stdout.on('data', this.#onData);
    stdout.on('error', (error) => this.onerror?.(error));
    const ended = new Promise((resolve) => stdout.once('close', resolve));
    void this.#endAfter(exited, ended);
    void ended.then(() => this.#process.stop()); // a server that closes its stdout has ended
  }

  /** Its last output is still read. */
  async #endAfter(exited: HostProcess['exited'], ended: Promise<unknown>): Promise<void> {
    const { reason } = await exited;
    await atMost(LAST_OUTPUT_MS, ended);
    this.#deliver(() => this.#end(reason));
  }

  get stray(): string {
    return this.#lines.stray;
  }

  async send(message: JSONRPCMessage): Promise<void> {
    const { stdin } = this.#process;
    if (this.#closed) throw new FairleadError('ERR_MCP', this.exitReason || 'the server has been closed');
    // Checked before this message is added: one long message must not end a server that reads.
    if (stdin.writableLength > STDIN_WAITING_BYTES) {
      this.#fail(`does not read its input: more than ${STDIN_WAITING_BYTES} bytes wait`);
      throw new FairleadError('ERR_MCP', this.exitReason);
    }
    if (stdin.writable) stdin.write(serializeMessage(message)); // else its end is about to be reported
  }

  /** Resolves when the process is gone. */
  async close(): Promise<void> {
    this.#end('');
    await this.#process.stop();
  }

  readonly #onData = (chunk: Buffer): void => {
    try {
      for (const message of this.#lines.read(chunk)) this.#deliver(() => this.onmessage?.(message));
    } catch (error) {
      this.onerror?.(error as Error);
      this.#fail((error as Error).message);
    }
  };

  #fail(reason: string): void {
    this.#end(reason);
    void this.#process.stop();
  }

  #deliver(work: () => void): void {
    this.#delivered = this.#delivered.then(work).catch((error: unknown) => this.onerror?.(error as Error));
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.exitReason = reason;
    const { stdout, exited } = this.#process;
    stdout.off('data', this.#onData);
    stdout.resume(); // drained, so that a process that still writes can exit
    void exited.then(() => stdout.destroy()); // a process that it left behind may hold it open
    this.#lines.takeRest();
    this.onclose?.();
  }
}
