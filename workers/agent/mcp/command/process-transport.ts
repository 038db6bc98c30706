/** An MCP transport over the stdio of an untrusted process on the host. Agent threads. */
import { serializeMessage, type JSONRPCMessage, type Transport } from '@modelcontextprotocol/client';
import { atMost } from '../../../../src/shared/abort.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { McpInbox } from '../../../../src/shared/mcp-inbox.js';
import type { HostProcess } from './host-process.js';

/** The longest JSON-RPC line a server may send; of a longer one only its call fails. */
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
  readonly #inbox = new McpInbox({
    maxLineBytes: MAX_LINE_BYTES,
    onMessage: (message) => {
      this.heardAt = performance.now();
      this.onmessage?.(message);
    },
    onError: (error) => this.onerror?.(error),
    onFlood: (error) => {
      this.onerror?.(error);
      this.#fail(error.message);
    },
  });
  #closed = false;
  heardAt = 0;
  /** Why the process ended; '' while it lives, and when we closed it. */
  exitReason = '';

  constructor(process: HostProcess) {
    this.#process = process;
    this.pid = process.pid;
  }

  async start(): Promise<void> {
    const { stdout, silent, exited } = this.#process;
    stdout.on('data', this.#onData);
    stdout.on('error', (error) => this.onerror?.(error));
    const ended = new Promise((resolve) => stdout.once('close', resolve));
    void this.#endAfter(exited, Promise.all([ended, silent])); // what it printed last says why it died
    void ended.then(() => this.#process.stop()); // a server that closes its stdout has ended
  }

  /** Its last output is still read. */
  async #endAfter(exited: HostProcess['exited'], ended: Promise<unknown>): Promise<void> {
    const { reason } = await exited;
    await atMost(LAST_OUTPUT_MS, ended);
    this.#inbox.after(() => this.#end(reason));
  }

  get stray(): string {
    return this.#inbox.stray;
  }

  async send(message: JSONRPCMessage): Promise<void> {
    const { stdin } = this.#process;
    if (this.#closed) throw new FairleadError('ERR_MCP', this.exitReason || 'the server has been closed');
    // Checked before this message is added: one long message must not end a server that reads.
    if (stdin.writableLength > STDIN_WAITING_BYTES) {
      this.#fail(`does not read its input: more than ${STDIN_WAITING_BYTES} bytes wait`);
      throw new FairleadError('ERR_MCP', this.exitReason);
    }
    this.#inbox.noteSent(message);
    if (stdin.writable) stdin.write(serializeMessage(message)); // else its end is about to be reported
  }

  /** Resolves when the process is gone. */
  async close(): Promise<void> {
    this.#end('');
    await this.#process.stop();
  }

  readonly #onData = (chunk: Buffer): void => {
    const { stdout } = this.#process;
    stdout.pause();
    this.#inbox.push(chunk, () => stdout.resume());
  };

  #fail(reason: string): void {
    this.#end(reason);
    void this.#process.stop();
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.exitReason = reason;
    const { stdout, exited } = this.#process;
    stdout.off('data', this.#onData);
    stdout.resume(); // drained, so that a process that still writes can exit
    void exited.then(() => stdout.destroy()); // a process that it left behind may hold it open
    this.#inbox.close();
    this.onclose?.();
  }
}
