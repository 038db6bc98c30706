/**
 * How fast one model may be asked: not during the pause that its API wants, after it one request first and more with each answer, and no
 * more than remains of its limits. Main thread.
 */
import { backoffMs } from '../../shared/backoff.js';
import { isLow, type RateLimit } from '../../shared/rate-limits.js';
import type { ModelCallEnded } from '../../../workers/agent/contract/model-calls.js';
import { RateBucket } from './rate-bucket.js';

/** Where the API does not say how long to wait. */
const PAUSES = { firstMs: 1_000, maxMs: 30_000 };
/** An API that wants a longer one is asked again after it. */
const MAX_PAUSE_MS = 3_600_000;
/** No refusal for so long: the number at once grows fast again. */
const CALM_MS = 30_000;
/** Tokens of a request, assumed until some are counted. */
const FIRST_TOKENS = { input: 2_000, output: 500 };

export class ModelLane {
  #pausedUntil = 0;
  #refusedAt = -Infinity;
  /** Refusals in a row, each after a pause. */
  #refusals = 0;
  /** How many requests may run at once; Infinity while the API has refused none. */
  #window = Infinity;
  /** Up to here the window grows by one with each answer, beyond it by one with as many answers as it is wide. */
  #threshold = Infinity;
  /** Requests that run, by thread. */
  readonly #running = new Map<number, number>();
  #unanswered = 0;
  readonly #buckets = new Map<RateLimit['kind'], RateBucket>();
  readonly #tokens = { ...FIRST_TOKENS };

  /** 0: a request may begin now. Infinity: when another one has ended. */
  waitMs(now: number): number {
    const pause = this.#pausedUntil - now;
    if (pause > 0) return pause;
    if (this.#runningNow >= Math.floor(this.#window)) return Infinity;
    let wait = 0;
    for (const [kind, bucket] of this.#buckets) wait = Math.max(wait, bucket.waitMs(this.#cost(kind), now));
    return wait;
  }

  /** Nothing is short: requests need not ask. `isWanted`: some wait for this model. */
  isFree(now: number, isWanted: boolean): boolean {
    for (const [kind, bucket] of this.#buckets) if (bucket.isOver(now)) this.#buckets.delete(kind);
    const isCalm = now - this.#refusedAt > CALM_MS;
    if (!isWanted && isCalm) this.#window = Infinity;
    return this.#pausedUntil <= now && this.#window === Infinity && this.#buckets.size === 0;
  }

  begin(thread: number): void {
    this.#running.set(thread, (this.#running.get(thread) ?? 0) + 1);
    this.#unanswered++;
    for (const [kind, bucket] of this.#buckets) bucket.charge(this.#cost(kind));
  }

  end({ thread, tokens }: Pick<ModelCallEnded, 'thread' | 'tokens'>, granted: boolean): void {
    if (granted) this.#ended(thread, 1);
    if (!tokens) return;
    this.#tokens.input += (tokens.input - this.#tokens.input) / 8;
    this.#tokens.output += (tokens.output - this.#tokens.output) / 8;
  }

  threadEnded(thread: number): void {
    this.#ended(thread, Infinity);
  }

  /** `running`: requests to the API that run now, those that did not ask among them. Returns the pause. */
  refused(retryAfterMs: number | undefined, running: number, now: number): number {
    this.#unanswered = Math.max(0, this.#unanswered - 1);
    // Of those that were under way together, the first one tells it.
    if (now >= this.#pausedUntil) {
      this.#refusals++;
      this.#threshold = Math.max(1, Math.floor(Math.min(this.#window, running) / 2));
      this.#window = 1;
    }
    this.#refusedAt = now;
    const pause = retryAfterMs ?? backoffMs(this.#refusals, PAUSES);
    this.#pausedUntil = Math.max(this.#pausedUntil, now + Math.min(pause, MAX_PAUSE_MS));
    return this.#pausedUntil - now;
  }

  answered(limits: readonly RateLimit[], now: number): void {
    this.#unanswered = Math.max(0, this.#unanswered - 1);
    if (now >= this.#pausedUntil) {
      this.#refusals = 0;
      const isFast = this.#window < this.#threshold || now - this.#refusedAt > CALM_MS;
      this.#window += isFast ? 1 : 1 / this.#window;
    }
    for (const limit of limits) {
      const { kind } = limit;
      if (isLow(limit)) this.#buckets.set(kind, new RateBucket(limit, now, this.#unanswered * this.#cost(kind)));
      else this.#buckets.delete(kind);
    }
  }

  get #runningNow(): number {
    let sum = 0;
    for (const count of this.#running.values()) sum += count;
    return sum;
  }

  #ended(thread: number, count: number): void {
    const left = (this.#running.get(thread) ?? 0) - count;
    if (left > 0) this.#running.set(thread, left);
    else this.#running.delete(thread);
    if (this.#running.size === 0) this.#unanswered = 0;
  }

  #cost(kind: RateLimit['kind']): number {
    switch (kind) {
      case 'requests':
        return 1;
      case 'tokens':
        return this.#tokens.input + this.#tokens.output;
      case 'input-tokens':
        return this.#tokens.input;
      case 'output-tokens':
        return this.#tokens.output;
    }
  }
}
