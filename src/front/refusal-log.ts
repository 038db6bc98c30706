/** Logs why pages, proxies and credentials are refused, at a bounded rate: whoever sends many such requests must not fill the log. Main thread. */
import type { FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import { TokenBucket } from '../shared/token-bucket.js';

/** Then one in ten seconds. */
const BURST = 10;
const PER_SECOND = 0.1;
/** When a flood has ended, nothing comes that could tell how long it was. */
const FLUSH_MS = 60_000;

/** Where a refused request comes from; all of it is the client's word, but the address. */
export interface Refused {
  address: string;
  path?: string;
  requestId?: string;
}

export class RefusalLog {
  readonly #log: Pick<Logger, 'warn'>;
  readonly #flushMs: number;
  readonly #bucket = new TokenBucket(BURST, PER_SECOND);
  #unlogged = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `flushMs`: for tests. */
  constructor(log: Pick<Logger, 'warn'>, { flushMs = FLUSH_MS }: { flushMs?: number } = {}) {
    this.#log = log;
    this.#flushMs = flushMs;
  }

  /** `path` is the client's, so a line holds its beginning alone. */
  note(error: FairleadError, { address, path, requestId }: Refused): void {
    if (!this.#bucket.take()) {
      this.#unlogged++;
      this.#timer ??= setTimeout(() => this.#flush(), this.#flushMs).unref();
      return;
    }
    const where = { address, ...(path !== undefined && { path: path.slice(0, 100) }), ...(requestId && { requestId }) };
    this.#log.warn({ code: error.code, ...where, ...this.#heldBack() }, `refused: ${error.message}`);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flush();
  }

  #flush(): void {
    this.#timer = undefined;
    const held = this.#heldBack();
    if (held) this.#log.warn(held, `refused: ${held.unlogged} more, which have no line of their own`);
  }

  #heldBack(): { unlogged: number } | undefined {
    const unlogged = this.#unlogged;
    this.#unlogged = 0;
    return unlogged === 0 ? undefined : { unlogged };
  }
}
