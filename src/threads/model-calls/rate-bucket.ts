/** What remains of one of the API's limits, filled again with the time as the API does it. Main thread. */
import type { RateLimit } from '../../shared/rate-limits.js';

/** A gateway may say hours. Whoever waits so long asks again. */
const MAX_RESET_MS = 60_000;

export class RateBucket {
  readonly #remaining: number;
  readonly #perMs: number;
  readonly #at: number;
  readonly #resetAt: number;
  /** By requests whose answer has told nothing yet. */
  #charged: number;

  constructor({ limit, remaining, resetMs }: RateLimit, now: number, charged: number) {
    const ms = Math.min(resetMs, MAX_RESET_MS);
    this.#remaining = remaining;
    this.#perMs = limit !== undefined && limit > remaining && resetMs > 0 ? (limit - remaining) / resetMs : 0;
    this.#at = now;
    this.#resetAt = now + ms;
    this.#charged = charged;
  }

  charge(cost: number): void {
    this.#charged += cost;
  }

  /** Until so much is there; 0: it is. */
  waitMs(cost: number, now: number): number {
    const resetMs = this.#resetAt - now;
    const missing = cost + this.#charged - this.#remaining - this.#perMs * (now - this.#at);
    if (resetMs <= 0 || missing <= 0) return 0;
    return this.#perMs > 0 ? Math.min(resetMs, missing / this.#perMs) : resetMs;
  }

  isOver(now: number): boolean {
    return now >= this.#resetAt;
  }
}
