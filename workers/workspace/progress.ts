/** Streams a command's output to the client: batched, rate limited and bounded. Runs in the sandbox. */
import { StringDecoder } from 'node:string_decoder';

export type StreamName = 'stdout' | 'stderr';

export interface ProgressPiece {
  stream: StreamName;
  text: string;
  /** Bytes sent so far, this piece included. MCP requires that it grows with every piece. */
  total: number;
}

export const FLUSH_EVERY_MS = 50;
export const FLUSH_BYTES = 16_384;
export const MAX_STREAMED_BYTES = 1_048_576;

interface StreamBuffer {
  decoder: StringDecoder;
  text: string;
}

/**
 * Sends one piece at a time: while the client is slow the next piece grows, up to the bound. The command is never blocked:
 * output past the bound is not streamed, but is still in the result's head and tail.
 */
export class ProgressStream {
  readonly #send: (piece: ProgressPiece) => Promise<void>;
  readonly #pending: Record<StreamName, StreamBuffer> = {
    stdout: { decoder: new StringDecoder('utf8'), text: '' },
    stderr: { decoder: new StringDecoder('utf8'), text: '' },
  };
  #accepted = 0;
  #sent = 0;
  #pendingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  #failed = false;
  #ended = false;

  constructor(send: (piece: ProgressPiece) => Promise<void>) {
    this.#send = send;
  }

  push(stream: StreamName, chunk: Buffer): void {
    const room = MAX_STREAMED_BYTES - this.#accepted;
    if (room <= 0 || this.#failed) return;
    const part = chunk.subarray(0, room);
    this.#accepted += part.length;
    this.#add(stream, this.#pending[stream].decoder.write(part), part.length);
    if (part.length === room) {
      this.#add(stream, `\n[output goes on; only the first ${MAX_STREAMED_BYTES} bytes are streamed]\n`, 1);
    }
    this.#schedule();
  }

  /** Sends the rest, and resolves when the transport has taken it. */
  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#pending[stream].decoder.end();
      if (this.#accepted < MAX_STREAMED_BYTES) this.#add(stream, rest, 0);
    }
    await this.#sending;
    await this.#flush();
  }

  #add(stream: StreamName, text: string, bytes: number): void {
    this.#pending[stream].text += text.replaceAll('\0', '\uFFFD');
    this.#pendingBytes += bytes;
  }

  #schedule(): void {
    if (this.#sending !== undefined || this.#ended) return;
    if (this.#pendingBytes < FLUSH_BYTES) {
      this.#timer ??= setTimeout(() => this.#start(), FLUSH_EVERY_MS);
    } else {
      this.#start();
    }
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending = this.#flush().finally(() => {
      this.#sending = undefined;
      if (this.#pendingBytes > 0) this.#schedule();
    });
  }

  async #flush(): Promise<void> {
    this.#pendingBytes = 0;
    for (const stream of ['stdout', 'stderr'] as const) {
      const { text } = this.#pending[stream];
      if (text === '' || this.#failed) continue;
      this.#pending[stream].text = '';
      this.#sent += Buffer.byteLength(text);
      try {
        await this.#send({ stream, text, total: this.#sent });
      } catch {
        // The client is gone: the transport's close ends the command.
        this.#failed = true;
      }
    }
  }
}
