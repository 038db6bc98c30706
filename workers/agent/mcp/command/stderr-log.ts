/** What servers print to stderr, in our log at debug level: bounded. Agent threads. */
import type { Logger } from '../../../../src/shared/log.js';

const MAX_TEXT = 2_000;
/** Chunks of one server in a second; what is beyond is counted. */
const MAX_PER_SECOND = 20;

export class StderrLog {
  readonly #server: string;
  readonly #log: Logger;
  #second = 0;
  #chunks = 0;
  #left = 0;

  constructor(server: string, log: Logger) {
    this.#server = server;
    this.#log = log;
  }

  write(chunk: Buffer | string): void {
    if (!this.#log.isLevelEnabled('debug')) return;
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      if (this.#left > 0) this.#log.debug({ server: this.#server, bytes: this.#left }, 'mcp server stderr: left out');
      this.#second = second;
      this.#chunks = 0;
      this.#left = 0;
    }
    if (++this.#chunks > MAX_PER_SECOND) {
      this.#left += chunk.length;
      return;
    }
    const text = chunk.slice(0, MAX_TEXT).toString();
    this.#log.debug({ server: this.#server, bytes: chunk.length, text }, 'mcp server stderr');
  }
}
