/** The docker thread's ends of the ports that carry the bytes of files: a bounded window of them is on its way. Docker thread. */
import type { MessagePort } from 'node:worker_threads';
import { pending, withDeadline } from '../../../src/shared/abort.js';
import { errorToData, FairleadError } from '../../../src/shared/errors.js';
import {
  FILE_WINDOW_BYTES,
  type FileStat,
  type FromReadFile,
  type FromWriteFile,
  type ToReadFile,
  type ToWriteFile,
} from '../contract/files.js';

/** The main thread cuts a client that neither sends nor takes anything earlier than this. */
const STALL_MS = 120_000;

function late(): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the transfer stands still');
}

interface Wake {
  promise: Promise<void>;
  resolve: () => void;
}

/** `closed` aborts when the other end has closed it, or its thread has gone. */
abstract class FilePort<To, From> {
  readonly #port: MessagePort;
  readonly #controller = new AbortController();
  #wake: Wake = pending<void>();

  constructor(port: MessagePort) {
    this.#port = port;
    // At once, since a port reports its closing only to a listener.
    port.on('message', (message: To) => {
      this.receive(message);
      this.wake();
    });
    port.on('close', () => this.#gone());
    port.on('messageerror', () => this.#gone());
  }

  get closed(): AbortSignal {
    return this.#controller.signal;
  }

  protected abstract receive(message: To): void;

  protected wake(): void {
    this.#wake.resolve();
    this.#wake = pending<void>();
  }

  /** Resolves when a message has come. The reason of `closed`; ERR_UNAVAILABLE after a long silence. */
  protected async heard(): Promise<void> {
    const { promise } = this.#wake;
    await withDeadline({ timeoutMs: STALL_MS, late, signal: this.closed }, () => promise);
  }

  protected post(message: From, transfer: ArrayBuffer[] = []): void {
    if (!this.closed.aborted) this.#port.postMessage(message, transfer);
  }

  close(): void {
    this.#port.close();
    this.#gone();
  }

  #gone(): void {
    this.#controller.abort(new FairleadError('ERR_CANCELLED', 'the transfer was ended'));
  }
}

export class ReadPort extends FilePort<ToReadFile, FromReadFile> {
  #range: { from: number; length: number } | undefined;
  #unacked = 0;

  protected receive(message: ToReadFile): void {
    if (message.type === 'range') this.#range = message;
    else if (message.type === 'ack') this.#unacked -= message.bytes;
    else this.close();
  }

  async range(): Promise<{ from: number; length: number }> {
    while (!this.#range) await this.heard();
    return this.#range;
  }

  /** Resolves when more may be sent. */
  async send(bytes: Buffer): Promise<void> {
    while (this.#unacked >= FILE_WINDOW_BYTES) await this.heard();
    this.closed.throwIfAborted();
    const data = new Uint8Array(bytes); // exactly these bytes, not their whole pooled buffer
    this.#unacked += data.length;
    this.post({ type: 'data', data }, [data.buffer]);
  }

  end(): void {
    this.post({ type: 'end' });
  }

  fail(error: unknown): void {
    this.post({ type: 'error', error: errorToData(error) });
  }
}

export type WritePart = Exclude<ToWriteFile, { type: 'close' }>;

export class WritePort extends FilePort<ToWriteFile, FromWriteFile> {
  /** What the sender has sent ahead: a window of it, and what it could not hold back. */
  #waiting: WritePart[] = [];
  #stopped: { reason: unknown } | undefined;

  protected receive(message: ToWriteFile): void {
    if (message.type === 'close') this.close();
    else this.#waiting.push(message);
  }

  /** `next` rejects from now on. */
  stop(reason: unknown): void {
    this.#stopped = { reason };
    this.wake();
  }

  async next(): Promise<WritePart> {
    for (;;) {
      if (this.#stopped) throw this.#stopped.reason;
      const part = this.#waiting.shift();
      if (part) return part;
      await this.heard();
    }
  }

  taken(bytes: number): void {
    this.post({ type: 'ack', bytes });
  }

  done(stat: FileStat): void {
    this.post({ type: 'done', stat });
  }

  fail(error: unknown): void {
    this.post({ type: 'error', error: errorToData(error) });
  }
}
