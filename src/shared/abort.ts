/** Deadlines and aborts that clean up: no timer or listener outlives its wait. Every thread. */
import { FairleadError } from './errors.js';

export function cancelled(): FairleadError {
  return new FairleadError('ERR_CANCELLED', 'cancelled');
}

/** Calls `listener` when the signal aborts, at once if it has. Returns a function that removes the listener. */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (signal?.aborted) listener();
  else signal?.addEventListener('abort', listener, { once: true });
  return () => signal?.removeEventListener('abort', listener);
}

/**
 * Settles as `work` does, or rejects with the signal's reason as soon as it aborts; what `work` does later is dropped. A
 * signal that has aborted already keeps `work` from starting.
 */
export async function untilAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  return raceAbort(signal, work, () => signal.reason as Error);
}

/** As `untilAborted`, but rejects with ERR_CANCELLED whatever the signal's reason is. */
export async function abortable<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw cancelled();
  return raceAbort(signal, work, cancelled);
}

async function raceAbort<T>(signal: AbortSignal, work: () => Promise<T>, reason: () => Error): Promise<T> {
  const { promise: aborted, reject } = pending<never>();
  const stop = onAbort(signal, () => reject(reason()));
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    stop();
  }
}

export interface DeadlineOptions {
  timeoutMs: number;
  /** The error at the deadline. */
  late: () => Error;
  /** The caller's own; its reason is thrown when it aborts. */
  signal?: AbortSignal | undefined;
}

/** Runs `work` with a signal that aborts at the deadline or with the caller's; settles then, whatever `work` does. */
export async function withDeadline<T>(
  { timeoutMs, late, signal }: DeadlineOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  // AbortSignal.timeout cannot be cleared: it would cut a stream that `work` has opened, long after `work` is done.
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(late()), Math.max(0, timeoutMs));
  const stop = onAbort(signal, () => controller.abort(signal?.reason));
  try {
    return await untilAborted(controller.signal, () => work(controller.signal));
  } finally {
    clearTimeout(timer);
    stop();
  }
}

/** Waits at most `ms` for `work`. True when it was done in time; rejects only if `work` rejects in time. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<boolean> {
  const { promise: late, resolve } = pending<boolean>();
  const timer = setTimeout(() => resolve(false), ms);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

export interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
}

/** Promise.withResolvers, which Node 20 lacks. A rejection that nobody waits for is not reported. */
export function pending<T>(): Deferred<T> {
  const settle: Partial<Deferred<T>> = {};
  const promise = new Promise<T>((resolve, reject) => Object.assign(settle, { resolve, reject }));
  promise.catch(() => undefined);
  return { promise, resolve: (value) => settle.resolve?.(value), reject: (error) => settle.reject?.(error) };
}
