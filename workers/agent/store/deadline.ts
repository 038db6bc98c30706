/** One deadline for all of an operation's steps. Runs in agent threads. */
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';

/** When a client that was told ERR_UNAVAILABLE may come back. */
const RETRY_AFTER_MS = 1000;

export interface Deadline {
  /** Aborted when the caller has been given up on: what has not started by then must not start. */
  readonly signal: AbortSignal;
  /** On the clock of `performance.now()`, ms. */
  readonly at: number;
  /** Why the work goes on still: told to the caller with the deadline. */
  lastFailure?: string;
}

/** Rejects with ERR_UNAVAILABLE at the deadline, whatever `work` does then. */
export async function withDeadline<T>(
  timeoutMs: number,
  store: string,
  work: (deadline: Deadline) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const deadline: Deadline = { signal: controller.signal, at: performance.now() + timeoutMs };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const why = deadline.lastFailure === undefined ? '' : `: ${deadline.lastFailure}`;
      reject(unavailable(`${store} did not answer within ${timeoutMs} ms${why}`));
      controller.abort();
    }, timeoutMs);
  });
  try {
    return await Promise.race([work(deadline), late]);
  } finally {
    clearTimeout(timer);
  }
}

export function unavailable(message: string, cause?: unknown): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', message, { cause, retryAfterMs: RETRY_AFTER_MS });
}

/** An error of the database or its client: neither one of ours with a code, nor a fault of the code. */
export function isForeign(error: unknown): error is Error {
  const fault = error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
  return error instanceof Error && !isFairleadError(error) && !fault;
}
