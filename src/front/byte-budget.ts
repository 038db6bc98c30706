/**
 * What each user's clients may send: so much a second, and eight seconds' worth at once. What was sent beyond that is a debt,
 * of eight seconds at most: whoever goes on sending waits for longer. Main thread.
 */
import { FairleadError } from '../shared/errors.js';

const BURST_S = 8;
const MIN_PRUNE = 1_000;

interface Account {
  /** Below 0: a debt. */
  bytes: number;
  /** ms, monotonic. */
  at: number;
}

export class ByteBudget {
  readonly #perSecond: number;
  readonly #now: () => number;
  /** user → what is left. Who has all of it again has no entry, as of the next look. */
  readonly #accounts = new Map<string, Account>();
  #pruneAt = MIN_PRUNE;

  /** `perSecond` 0: no limit. */
  constructor(perSecond: number, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#now = now;
  }

  get size(): number {
    return this.#accounts.size;
  }

  /** As `spend` of nothing, and without an account for who has none. */
  debt(user: string): FairleadError | undefined {
    return this.#accounts.has(user) ? this.spend(user, 0) : undefined;
  }

  /** They have been sent, so they are taken in any case. Undefined, or why they are too many: ERR_TOO_MANY_REQUESTS. */
  spend(user: string, bytes: number): FairleadError | undefined {
    if (this.#perSecond === 0) return undefined;
    const account = this.#accountOf(user);
    account.bytes = Math.max(-BURST_S * this.#perSecond, account.bytes - bytes);
    if (account.bytes >= 0) return undefined;
    const retryAfterMs = Math.ceil((-account.bytes / this.#perSecond) * 1_000);
    const text = `more than ${this.#perSecond} bytes a second were sent (limits.maxBytesPerSecond)`;
    return new FairleadError('ERR_TOO_MANY_REQUESTS', text, { retryAfterMs });
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
