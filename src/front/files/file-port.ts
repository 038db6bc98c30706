/** The main thread's ends of the ports that carry the bytes of files. Main thread. */
import type { MessagePort } from 'node:worker_threads';
import type {
  FileStat,
  FromReadFile,
  FromWriteFile,
  ToReadFile,
  ToWriteFile,
} from '../../../workers/docker/contract/files.js';
import { pending } from '../../shared/abort.js';
import { errorFromData, FairleadError } from '../../shared/errors.js';

function lost(): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the transfer was cut', { retryAfterMs: 1_000 });
}

/** Holds a window of bytes at most: the other end waits for `ack`. */
export class FileSource {
  readonly #port: MessagePort;
  #parts: Uint8Array[] = [];
  #end: { error?: Error } | undefined;
  #wake = pending<void>();

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (message: FromReadFile) => {
      if (message.type === 'data') this.#parts.push(message.data);
      else if (message.type === 'end') this.#end ??= {};
      else this.#end ??= { error: errorFromData(message.error) };
      this.#wake.resolve();
    });
    port.on('close', () => {
      this.#end ??= { error: lost() };
      this.#wake.resolve();
    });
  }

  ask(from: number, length: number): void {
    this.#post({ type: 'range', from, length });
  }

  /** The next bytes; undefined after the last. Rejects when they are no whole. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const part = this.#parts.shift();
      if (part) return part;
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return undefined;
      this.#wake = pending<void>();
      await this.#wake.promise;
    }
  }

  ack(bytes: number): void {
    this.#post({ type: 'ack', bytes });
  }

  close(): void {
    this.#port.close();
  }

  #post(message: ToReadFile): void {
    this.#port.postMessage(message);
  }
}

export class FileTarget {
  readonly #port: MessagePort;
  readonly #onTaken: () => void;
  readonly #done = pending<FileStat>();
  /** Bytes that nobody has written yet. */
  unwritten = 0;

  /** `onTaken` is called whenever bytes have been written. */
  constructor(port: MessagePort, onTaken: () => void) {
    this.#port = port;
    this.#onTaken = onTaken;
    this.#done.promise.catch(() => undefined); // it may fail before anybody waits for it
    port.on('message', (message: FromWriteFile) => this.#receive(message));
    port.on('close', () => this.#done.reject(lost()));
  }

  /** Resolves when the file has its name. */
  get done(): Promise<FileStat> {
    return this.#done.promise;
  }

  write(bytes: Uint8Array<ArrayBuffer>): void {
    this.unwritten += bytes.length;
    this.#post({ type: 'data', data: bytes }, [bytes.buffer]);
  }

  commit(expect: string | undefined): void {
    this.#post({ type: 'commit', ...(expect !== undefined && { expect }) });
  }

  close(): void {
    this.#port.close();
  }

  #receive(message: FromWriteFile): void {
    if (message.type === 'done') this.#done.resolve(message.stat);
    else if (message.type === 'error') this.#done.reject(errorFromData(message.error));
    else {
      this.unwritten -= message.bytes;
      this.#onTaken();
    }
  }

  #post(message: ToWriteFile, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer);
  }
}
