/** An MCP transport over the stdio of a process on the host, whom nobody trusts. Agent threads. */
import { serializeMessage, type JSONRPCMessage, type Transport } from '@modelcontextprotocol/client';
import { atMost } from '../../../../src/shared/abort.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { McpLines } from '../../../../src/shared/mcp-lines.js';
import type { HostProcess } from './host-process.js';

/** The longest JSON-RPC line a server may send; a longer one ends the connection, not the thread. */
const MAX_LINE_BYTES = 16 * 1_048_576;
/** What may wait for a process that does not read its stdin, beyond the message that comes last. */
const STDIN_WAITING_BYTES = 4 * 1_048_576;
/** A process that has exited but whose output is held open by something it left behind ends after this. */
const LAST_OUTPUT_MS = 1_000;

export class ProcessTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** By these two the SDK's probe knows that silence on a pipe means a server of the older era. */
  readonly stderr = null;
  readonly pid: number;
  readonly #process: HostProcess;
  readonly #lines = new McpLines(MAX_LINE_BYTES);
  /** One microtask apart, as in PortTransport: else progress that comes with its result is lost. */
  #delivered: Promise<void> = Promise.resolve();
  #closed = false;
  /** Why the process ended, in plain words; '' while it lives, and when it was closed by us. */
  exitReason = '';

  constructor(process: HostProcess, onStderr: (chunk: Buffer) => void) {
    this.#process = process;
    this.pid = process.pid;
    process.stderr.on('data', onStderr);
    process.stderr.on('error', () => undefined); // nothing of the protocol is in it
  }

  async start(): Promise<void> {
    const { stdout, exited } = this.#process;
    stdout.on('data', this.#onData);
    stdout.on('error', (error) => this.onerror?.(error));
    const ended = new Promise((resolve) => stdout.once('close', resolve));
    void this.#endAfter(exited, ended);
    void ended.then(() => this.#process.stop()); // who has closed its output has nothing more to say
  }

  /** What it has said last is still heard. */
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
    // Judged before this message is added: one long message is no reason to end a server that reads well.
    if (stdin.writableLength > STDIN_WAITING_BYTES) {
      this.#fail(`does not read its input: more than ${STDIN_WAITING_BYTES} bytes wait`);
      throw new FairleadError('ERR_MCP', this.exitReason);
    }
    if (stdin.writable) stdin.write(serializeMessage(message)); // else its end is on its way
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
    stdout.resume(); // read to its end, so that a process that still writes can go
    void exited.then(() => stdout.destroy()); // what it left behind may hold it open
    this.#lines.takeRest();
    this.onclose?.();
  }
}
