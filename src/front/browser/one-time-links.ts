/** Links that log a browser in once, as the user of the data folder's token. In memory alone: a restart voids them. Main thread. */
import { createHash, randomBytes } from 'node:crypto';

export const LINK_MS = 900_000;
/** A start makes one; whoever asks for more voids the oldest. */
const MAX_LINKS = 8;

export class OneTimeLinks {
  /** By hash of the code: when it ends. */
  readonly #open = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  make(): string {
    const code = randomBytes(24).toString('base64url');
    const [oldest] = this.#open.keys();
    if (this.#open.size >= MAX_LINKS && oldest !== undefined) this.#open.delete(oldest);
    this.#open.set(hash(code), this.#now() + LINK_MS);
    return code;
  }

  /** Takes nothing: browsers and messengers open an address to show what is behind it. */
  has(code: string): boolean {
    return (this.#open.get(hash(code)) ?? 0) > this.#now();
  }

  /** True once. */
  take(code: string): boolean {
    const found = this.has(code);
    this.#open.delete(hash(code));
    return found;
  }
}

/** The time of a look-up tells nothing about a code. */
function hash(code: string): string {
  return createHash('sha256').update(code).digest('base64');
}
