/** Logs why pages and proxies are refused, at a bounded rate: whoever sends many such requests must not fill the log. Main thread. */
import type { FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import { TokenBucket } from '../shared/token-bucket.js';

/** Then one in ten seconds. */
const BURST = 10;
const PER_SECOND = 0.1;

export class RefusalLog {
  readonly #log: Pick<Logger, 'warn'>;
  readonly #bucket = new TokenBucket(BURST, PER_SECOND);
  #unlogged = 0;

  constructor(log: Pick<Logger, 'warn'>) {
    this.#log = log;
  }

  /** `path` is the client's, so a line holds its beginning alone. */
  note(error: FairleadError, { address, path }: { address: string; path: string }): void {
    if (!this.#bucket.take()) {
      this.#unlogged++;
      return;
    }
    const more = this.#unlogged === 0 ? {} : { unlogged: this.#unlogged };
    this.#unlogged = 0;
    this.#log.warn({ code: error.code, address, path: path.slice(0, 100), ...more }, `refused: ${error.message}`);
  }
}
