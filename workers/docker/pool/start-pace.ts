/** When a pool starts and gives sandboxes: not during the backoff after a failure, and slowly to one user who takes many. Docker thread. */
import { availableParallelism } from 'node:os';
import { BrokenCircuitError } from 'cockatiel';
import { FairleadError } from '../../../src/shared/errors.js';
import { startBackoffMs, type Churn, type StartHealth } from './plan-pool.js';

/** Assumed until a start was measured. */
const FIRST_START_MS = 1_000;
/** Longest backoff while the daemon is away. Only a failing image backs off for longer. */
const AWAY_BACKOFF_MS = 5_000;
/** For so long after the daemon has come back, its refusals are passing ones: the circuit breaker may still be open. */
const BACK_MS = 10_000;
/** A daemon that has come back is noticed within this time. */
const NOTICE_MS = 2_000;
/** After a greedy user's lease, sandboxes are started with rests for so long. */
const CHURN_MS = 5_000;
/** A start keeps one processor busy: where there are more than these, others notice less of it, and it needs less rest. */
const FEW_PROCESSORS = 2;
/** Of so many processors, one may start sandboxes for greedy users without a rest. */
const PROCESSORS_A_START = 8;

export class StartPace {
  #health: StartHealth & { error?: FairleadError } = { failures: 0, notBefore: 0 };
  #meanMs = FIRST_START_MS;
  /** Monotonic, like all times here. */
  #endedAt = 0;
  #greedyAt = -Infinity;
  #gaveAt = -Infinity;
  #backAt = -Infinity;
  readonly #processors: number;

  constructor(processors = availableParallelism()) {
    this.#processors = processors;
  }

  get health(): StartHealth {
    return this.#health;
  }

  /** Of a start, over the last ones. */
  get meanMs(): number {
    return this.#meanMs;
  }

  /** What new callers are told: while a broken image is in backoff, or the daemon away, there is nothing to wait for. */
  get refusal(): FairleadError | undefined {
    const { error, failures } = this.#health;
    const leftMs = this.backoffLeftMs;
    return error && failures > 0 && leftMs > 0 && !this.#isBack(error) ? withRetry(error, leftMs) : undefined;
  }

  get backoffLeftMs(): number {
    return Math.max(0, this.#health.notBefore - performance.now());
  }

  /**
   * Who is worth keeping after the last start has failed: whoever lives to see the next one, where the daemon is back; and where the
   * circuit breaker has refused it, whoever came so lately that the daemon's return could not be noticed.
   */
  keeps(error: FairleadError): (waiter: { since: number; deadline: number }) => boolean {
    const now = performance.now();
    const nextAt = now + this.backoffLeftMs;
    if (this.#isBack(error)) return ({ deadline }) => deadline > nextAt + this.#meanMs;
    return ({ since }) => error.cause instanceof BrokenCircuitError && nextAt - since < NOTICE_MS;
  }

  #isBack({ code }: FairleadError): boolean {
    return code === 'ERR_UNAVAILABLE' && performance.now() - this.#backAt < BACK_MS;
  }

  /** A start takes processor time, so some passes after each, except for the `modest` waiters, which are counted only then. */
  churn(modest: () => number): Churn | undefined {
    if (performance.now() - this.#greedyAt > CHURN_MS) return undefined;
    const atOnce = Math.max(1, Math.floor(this.#processors / PROCESSORS_A_START));
    return { modest: modest(), atOnce, notBefore: this.#endedAt + this.#restMs };
  }

  /** A greedy user asks for a sandbox. */
  noteGreedy(): void {
    this.#greedyAt = performance.now();
  }

  /** Whether a greedy user may have a warm sandbox now: to give it away, to end it and to start the next one takes as long as a start. */
  get mayGive(): boolean {
    return performance.now() - this.#gaveAt >= this.#restMs;
  }

  noteGiven(): void {
    this.#gaveAt = performance.now();
  }

  get #restMs(): number {
    return this.#meanMs * Math.min(1, FEW_PROCESSORS / this.#processors);
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

  /** The daemon answers: ends the backoff that its absence caused. `again`: it was away. Returns whether there was a backoff. */
  noteBack(again: boolean): boolean {
    if (again) this.#backAt = performance.now();
    if (this.#health.error?.code !== 'ERR_UNAVAILABLE') return false;
    this.#health = { failures: 0, notBefore: 0 };
    return true;
  }
}

export function withRetry(error: FairleadError, retryAfterMs: number): FairleadError {
  if (error.code !== 'ERR_UNAVAILABLE') return error;
  return new FairleadError(error.code, error.message, { cause: error, retryAfterMs: Math.ceil(retryAfterMs) });
}
