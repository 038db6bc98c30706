/** The queue for a sandbox: first come, first served, bounded, each waiter with a deadline and an abort signal. Docker thread. */
import { onAbort, pending } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';

export interface Waiter<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

export class LeaseQueue<T> {
  readonly #waiters = new Set<Waiter<T>>();
  readonly #max: number;
  readonly #timeoutMs: number;
  readonly #onLength: (length: number) => void;

  constructor(max: number, timeoutMs: number, onLength: (length: number) => void = () => undefined) {
    this.#onLength = onLength;
    this.#max = max;
    this.#timeoutMs = timeoutMs;
  }

  get length(): number {
    return this.#waiters.size;
  }

  /**
   * `expectedMs` estimates the wait. ERR_UNAVAILABLE at once when the queue is full or the estimate is past the deadline,
   * and at the deadline; the signal's reason when it aborts.
   */
  async wait(signal: AbortSignal, expectedMs: number): Promise<T> {
    signal.throwIfAborted();
    const timeoutMs = this.#timeoutMs;
    if (this.length >= this.#max) throw busy(`${this.length} others wait for a sandbox already`, expectedMs);
    if (expectedMs > timeoutMs) throw busy(`${this.length} others wait for a sandbox`, expectedMs - timeoutMs);
    const { promise, resolve, reject } = pending<T>();
    // A waiter leaves the queue in the same step as its caller: a sandbox must not be handed to nobody.
    const settle = <A>(end: (value: A) => void) => {
      return (value: A): void => {
        clearTimeout(timer);
        stop();
        this.#waiters.delete(waiter);
        this.#onLength(this.length);
        end(value);
      };
    };
    const waiter: Waiter<T> = { resolve: settle(resolve), reject: settle(reject) };
    const late = (): void => waiter.reject(busy(`no sandbox was free within ${timeoutMs} ms`, expectedMs));
    const timer = setTimeout(late, timeoutMs);
    const stop = onAbort(signal, () => waiter.reject(signal.reason as Error));
    this.#waiters.add(waiter);
    this.#onLength(this.length);
    return promise;
  }

  /** Removes and returns the first waiter. */
  next(): Waiter<T> | undefined {
    const [first] = this.#waiters;
    if (first) this.#waiters.delete(first); // onLength follows when the caller settles it, which is at once
    return first;
  }

  rejectAll(error: FairleadError): void {
    for (let waiter = this.next(); waiter; waiter = this.next()) waiter.reject(error);
  }
}

function busy(message: string, retryAfterMs: number): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', message, { retryAfterMs: Math.max(100, Math.ceil(retryAfterMs)) });
}
