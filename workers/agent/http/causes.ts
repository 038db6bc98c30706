/** The chain of errors behind an error. Pure; agent threads. */

const MAX_CAUSES = 10;

/** Starts with the error itself. When several addresses fail, Node throws an AggregateError: the chain follows its first error. */
export function causes(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let cause = error; cause !== undefined && cause !== null && chain.length < MAX_CAUSES;) {
    chain.push(cause);
    cause =
      cause instanceof AggregateError && cause.errors.length > 0
        ? (cause.errors[0] as unknown)
        : (cause as Error).cause;
  }
  return chain;
}
