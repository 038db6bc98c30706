/**
 * The queue for a sandbox: round robin by user, and of those whose turn it may be, who was given fewest lately is first, then who came
 * first; bounded, each waiter with a deadline and an abort signal. Docker thread.
 */
import { onAbort, pending } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { RecentLeases } from './recent-leases.js';

export interface Waiter<T> {
  readonly user: string;
  /** Since when it waits, and when it is refused: ms on the clock of `performance.now()`. */
  readonly since: number;
  readonly deadline: number;
  /** Counts those who came and those who were served. */
  readonly order: number;
  resolve(value: T): void;
  reject(error: Error): void;
}

export class LeaseQueue<T> {
  /** In the order in which they came. */
  readonly #waiters = new Set<Waiter<T>>();
  /** How many of them are each user's. */
  readonly #byUser = new Map<string, number>();
  /** Of each user who was served while somebody waits, when that was last, in `order`. */
  readonly #servedAt = new Map<string, number>();
  #order = 0;
  readonly #max: number;
  readonly #timeoutMs: number;
  readonly #onLength: (length: number) => void;
  readonly #recent: RecentLeases;

  constructor(
    max: number,
    timeoutMs: number,
    onLength: (length: number) => void = () => undefined,
    recent = new RecentLeases(),
  ) {
    this.#onLength = onLength;
    this.#max = max;
    this.#timeoutMs = timeoutMs;
    this.#recent = recent;
  }

  get length(): number {
    return this.#waiters.size;
  }

  /** Where a new waiter of this user would stand: 1 = next. */
  position(user: string): number {
    const had = this.#had(user);
    const own = this.#byUser.get(user) ?? 0;
    let position = own + 1;
    for (const [other, count] of this.#byUser) {
      if (other !== user) position += Math.min(count, this.#had(other) <= had ? own + 1 : own);
    }
    return position;
  }

  /** A sandbox that nobody had to wait for. */
  noteLease(user: string): void {
    this.#recent.note(user);
  }

  isGreedy(user: string): boolean {
    return this.#recent.isGreedy(user, this.#byUser.get(user));
  }

  /** How many of those who wait are not greedy. */
  get modest(): number {
    let count = 0;
    for (const { user } of this.#waiters) if (!this.isGreedy(user)) count++;
    return count;
  }

  /**
   * `expectedMs` estimates the wait. ERR_UNAVAILABLE at once when the queue is full or the estimate is past the deadline,
   * and at the deadline; the signal's reason when it aborts. In a full queue, a user who waits with fewer takes the last place of
   * the one who waits with most.
   */
  async wait(signal: AbortSignal, expectedMs: number, user = ''): Promise<T> {
    signal.throwIfAborted();
    const timeoutMs = this.#timeoutMs;
    if (expectedMs > timeoutMs) throw busy(`${this.length} others wait for a sandbox`, expectedMs - timeoutMs);
    if (this.length >= this.#max) this.#makePlace(user, expectedMs);
    const { promise, resolve, reject } = pending<T>();
    // A waiter leaves the queue in the same step as its caller: a sandbox must not be handed to nobody.
    const settle = <A>(end: (value: A) => void) => {
      return (value: A): void => {
        clearTimeout(timer);
        stop();
        this.#remove(waiter);
        this.#onLength(this.length);
        end(value);
      };
    };
    const since = performance.now();
    const settled = { resolve: settle(resolve), reject: settle(reject) };
    const waiter: Waiter<T> = { user, since, deadline: since + timeoutMs, order: ++this.#order, ...settled };
    const late = (): void => waiter.reject(busy(`no sandbox was free within ${timeoutMs} ms`, expectedMs));
    const timer = setTimeout(late, timeoutMs);
    const stop = onAbort(signal, () => waiter.reject(signal.reason as Error));
    this.#waiters.add(waiter);
    this.#byUser.set(user, (this.#byUser.get(user) ?? 0) + 1);
    this.#onLength(this.length);
    return promise;
  }

  /**
   * Removes and returns the waiter whose turn it is. Nobody is served twice while somebody else waits for the first time: one with many
   * waiters delays each other by one. `modest`: none that is greedy.
   */
  next({ modest = false } = {}): Waiter<T> | undefined {
    const firsts = this.#firsts(modest);
    let next: Waiter<T> | undefined;
    let fewest = Infinity;
    for (const first of firsts) {
      const servedAt = this.#servedAt.get(first.user) ?? 0;
      if (firsts.some((other) => other !== first && this.#passedOverSince(other) < servedAt)) continue;
      const had = this.#had(first.user);
      if (had >= fewest) continue;
      next = first;
      fewest = had;
    }
    if (!next) return undefined;
    this.#recent.note(next.user);
    this.#remove(next); // the length is told when the caller settles it, which is at once
    if (this.length === 0) this.#servedAt.clear();
    else this.#servedAt.set(next.user, ++this.#order);
    return next;
  }

  rejectAll(error: FairleadError): void {
    this.rejectUnless(() => false, error);
  }

  rejectUnless(keeps: (waiter: Waiter<T>) => boolean, error: FairleadError): void {
    // Each leaves the set, which a Set's iterator allows.
    for (const waiter of this.#waiters) if (!keeps(waiter)) waiter.reject(error);
  }

  /** Each user's first waiter, in the order in which they came. */
  #firsts(modest: boolean): Waiter<T>[] {
    const firsts = new Map<string, Waiter<T>>();
    for (const waiter of this.#waiters) if (!firsts.has(waiter.user)) firsts.set(waiter.user, waiter);
    const all = [...firsts.values()];
    return modest ? all.filter(({ user }) => !this.isGreedy(user)) : all;
  }

  #passedOverSince({ user, order }: Waiter<T>): number {
    return Math.max(order, this.#servedAt.get(user) ?? 0);
  }

  #remove(waiter: Waiter<T>): void {
    if (!this.#waiters.delete(waiter)) return;
    const left = (this.#byUser.get(waiter.user) ?? 0) - 1;
    if (left > 0) this.#byUser.set(waiter.user, left);
    else this.#byUser.delete(waiter.user);
  }

  /** ERR_UNAVAILABLE when nobody waits with more than this user would. */
  #makePlace(user: string, expectedMs: number): void {
    const counts = this.#byUser;
    const [most, count] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    const full = busy(`${this.length} others wait for a sandbox already`, expectedMs);
    if (count <= (counts.get(user) ?? 0) + 1) throw full;
    [...this.#waiters].findLast((waiter) => waiter.user === most)?.reject(full);
  }

  /** In whole leases: small differences do not change the order. */
  #had(user: string): number {
    return Math.round(this.#recent.of(user));
  }
}

function busy(message: string, retryAfterMs: number): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', message, { retryAfterMs: Math.max(100, Math.ceil(retryAfterMs)) });
}
