/** When a pool starts sandboxes: not during the backoff after a failure, and slowly while one user takes many. Docker thread. */
import { FairleadError } from '../../../src/shared/errors.js';
import { startBackoffMs, type Churn, type StartHealth } from './plan-pool.js';

/** Assumed until a start was measured. */
const FIRST_START_MS = 1_000;
/** Longest backoff while the daemon is away. Only a failing image backs off for longer. */
const AWAY_BACKOFF_MS = 5_000;
/** After a greedy user's lease, sandboxes are started one at a time for so long. */
const CHURN_MS = 5_000;

export class StartPace {
  #health: StartHealth & { error?: FairleadError } = { failures: 0, notBefore: 0 };
  #meanMs = FIRST_START_MS;
  /** Monotonic, like all times here. */
  #endedAt = 0;
  #greedyAt = -Infinity;

  get health(): StartHealth {
    return this.#health;
  }

  /** Of a start, over the last ones. */
  get meanMs(): number {
    return this.#meanMs;
  }

  /** What a broken image's waiters are told: while it is in backoff there is nothing to wait for. */
  get refusal(): FairleadError | undefined {
    const { error, failures, notBefore } = this.#health;
    const leftMs = notBefore - performance.now();
    return error && failures > 0 && leftMs > 0 ? withRetry(error, leftMs) : undefined;
  }

  /** A start takes processor time, so as much passes after each, except for the `modest` waiters, which are counted only then. */
  churn(modest: () => number): Churn | undefined {
    if (performance.now() - this.#greedyAt > CHURN_MS) return undefined;
    return { modest: modest(), notBefore: this.#endedAt + this.#meanMs };
  }

  noteGreedy(): void {
    this.#greedyAt = performance.now();
  }

  noteStarted(ms: number): void {
    this.#meanMs += (ms - this.#meanMs) / 4;
    this.#endedAt = performance.now();
    this.#health = { failures: 0, notBefore: 0 };
  }

  noteFailed(error: FairleadError): { failures: number; backoffMs: number } {
    const failures = this.#health.failures + 1;
    const backoff = startBackoffMs(failures, Math.random());
    const backoffMs = error.code === 'ERR_UNAVAILABLE' ? Math.min(backoff, AWAY_BACKOFF_MS) : backoff;
    this.#health = { failures, notBefore: performance.now() + backoffMs, error: withRetry(error, backoffMs) };
    return { failures, backoffMs };
  }

  /** The daemon is back: ends the backoff that its absence caused. Returns whether there was one. */
  noteBack(): boolean {
    if (this.#health.error?.code !== 'ERR_UNAVAILABLE') return false;
    this.#health = { failures: 0, notBefore: 0 };
    return true;
  }
}

export function withRetry(error: FairleadError, retryAfterMs: number): FairleadError {
  if (error.code !== 'ERR_UNAVAILABLE') return error;
  return new FairleadError(error.code, error.message, { cause: error, retryAfterMs: Math.ceil(retryAfterMs) });
}
