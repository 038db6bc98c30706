/**
 * Limits how many bytes a second each user's clients send, as a token bucket of eight seconds. Bytes beyond it become a debt
 * of at most eight seconds, so that a client that does not stop waits longer. Main thread.
 */
import { FairleadError } from '../shared/errors.js';

const BURST_S = 8;
const MIN_PRUNE = 1_000;

interface Account {
  /** Negative: a debt. */
  bytes: number;
  /** When `bytes` was right; ms, monotonic. */
  at: number;
}

export class ByteBudget {
  readonly #limit: number | (() => number);
  readonly #now: () => number;
  /** By user. Pruning removes the accounts that are full again. */
  readonly #accounts = new Map<string, Account>();
  #pruneAt = MIN_PRUNE;

  /** `perSecond` 0: no limit. As a function it may change. */
  constructor(perSecond: number | (() => number), now: () => number = () => performance.now()) {
    this.#limit = perSecond;
    this.#now = now;
  }

  get size(): number {
    return this.#accounts.size;
  }

  /** Spends nothing, and opens no account for a user without one. */
  debt(user: string): FairleadError | undefined {
    return this.#accounts.has(user) ? this.spend(user, 0) : undefined;
  }

  /** Charges the bytes in any case, since they have been sent. Returns ERR_TOO_MANY_REQUESTS if they are too many. */
  spend(user: string, bytes: number): FairleadError | undefined {
    if (this.#perSecond === 0) return undefined;
    const account = this.#accountOf(user);
    account.bytes = Math.max(-BURST_S * this.#perSecond, account.bytes - bytes);
    if (account.bytes >= 0) return undefined;
    const retryAfterMs = Math.ceil((-account.bytes / this.#perSecond) * 1_000);
    const text = `this user sends more than ${this.#perSecond} bytes a second (limits.maxBytesPerSecond)`;
    return new FairleadError('ERR_TOO_MANY_REQUESTS', text, { retryAfterMs });
  }

  get #perSecond(): number {
    return typeof this.#limit === 'number' ? this.#limit : this.#limit();
  }

  #accountOf(user: string): Account {
    const now = this.#now();
    let account = this.#accounts.get(user);
    if (account) {
      account.bytes = this.#leftOf(account, now);
      account.at = now;
      return account;
    }
    if (this.#accounts.size >= this.#pruneAt) this.#prune(now);
    account = { bytes: BURST_S * this.#perSecond, at: now };
    this.#accounts.set(user, account);
    return account;
  }

  #leftOf({ bytes, at }: Account, now: number): number {
    return Math.min(BURST_S * this.#perSecond, bytes + ((now - at) / 1_000) * this.#perSecond);
  }

  #prune(now: number): void {
    for (const [user, account] of this.#accounts) {
      if (this.#leftOf(account, now) === BURST_S * this.#perSecond) this.#accounts.delete(user);
    }
    this.#pruneAt = Math.max(MIN_PRUNE, 2 * this.#accounts.size);
  }
}
