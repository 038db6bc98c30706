/** One line at a terminal that says how far a backup or restore is; nothing elsewhere. Command line's process. */
import { mib } from './words.js';

const SHOW_MS = 200;

export interface ProgressStream {
  isTTY?: boolean;
  write(text: string): unknown;
}

export class Progress {
  readonly #stream: ProgressStream;
  #phase = '';
  #done = 0;
  #total: number | undefined;
  #shownAt = 0;
  #isShown = false;

  constructor(stream: ProgressStream) {
    this.#stream = stream;
  }

  /** `total`: about so many bytes; absent: nobody knows. */
  begin(phase: string, total?: number): void {
    this.#phase = phase;
    this.#done = 0;
    this.#total = total;
    this.#show();
  }

  add(bytes: number): void {
    this.#done += bytes;
    if (performance.now() - this.#shownAt >= SHOW_MS) this.#show();
  }

  end(): void {
    if (this.#isShown) this.#stream.write('\r\u001b[K');
    this.#isShown = false;
  }

  #show(): void {
    if (this.#stream.isTTY !== true) return;
    this.#shownAt = performance.now();
    this.#isShown = true;
    const of = this.#total === undefined ? '' : ` of about ${mib(this.#total)}`;
    this.#stream.write(`\r\u001b[K${this.#phase}: ${mib(this.#done)}${of}`);
  }
}
