/** One deadline for all steps of a store operation. Agent threads. */
import { withDeadline } from '../../../src/shared/abort.js';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';

/** How long a client waits before it repeats what failed with ERR_UNAVAILABLE. */
const RETRY_AFTER_MS = 1000;

export interface OperationDeadline {
  /** Aborts at the deadline: a command that has not been sent by then must not be sent. */
  readonly signal: AbortSignal;
  /** On the clock of `performance.now()`, ms. */
  readonly at: number;
  /** Why the operation is being tried again; part of the error at the deadline. */
  lastFailure?: string;
}

/** Rejects with ERR_UNAVAILABLE at the deadline, whatever `work` does then. */
export function withStoreDeadline<T>(
  timeoutMs: number,
  store: string,
  work: (deadline: OperationDeadline) => Promise<T>,
): Promise<T> {
  const at = performance.now() + timeoutMs;
  let deadline: OperationDeadline | undefined;
  const late = (): Error => {
    const why = deadline?.lastFailure === undefined ? '' : `: ${deadline.lastFailure}`;
    return storeUnavailable(`${store} did not answer within ${timeoutMs} ms${why}`);
  };
  return withDeadline({ timeoutMs, late }, (signal) => {
    deadline = { signal, at };
    return work(deadline);
  });
}

export function storeUnavailable(message: string, cause?: unknown): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', message, { cause, retryAfterMs: RETRY_AFTER_MS });
}

/** Whether the error comes from the database or its client: it is neither one of ours with a code, nor a bug in our code. */
export function isForeign(error: unknown): error is Error {
  const fault = error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
  return error instanceof Error && !isFairleadError(error) && !fault;
}
