/** One stream of a command as a terminal would show it, its beginning and its end. Runs in the sandbox. */
import { StringDecoder } from 'node:string_decoder';
import { TerminalScreen } from '../../src/shared/terminal-screen.js';
import { HeadTail, KEPT_END_BYTES } from './output.js';

const LEAST_END_BYTES = 64;

export class ShownOutput {
  /** Bytes as the command printed them. */
  bytes = 0;
  readonly #kept: HeadTail;
  readonly #decoder = new StringDecoder('utf8');
  readonly #screen: TerminalScreen;

  constructor(keptEndBytes = KEPT_END_BYTES) {
    this.#kept = new HeadTail(Math.min(KEPT_END_BYTES, Math.max(LEAST_END_BYTES, keptEndBytes)));
    this.#screen = new TerminalScreen((text) => this.#kept.push(Buffer.from(text)));
  }

  push(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#screen.write(this.#decoder.write(chunk));
  }

  /** No more comes: what is on the screen is the end of the text. */
  end(): void {
    this.#screen.write(this.#decoder.end());
    this.#screen.end();
  }

  toText(): ReturnType<HeadTail['toText']> {
    return this.#kept.toText();
  }
}
