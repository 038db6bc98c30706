/** The chain of errors behind an error. Pure; agent threads. */

const MAX_CAUSES = 10;

/** The error itself first. Several addresses that failed come as one AggregateError: its first error goes on the chain. */
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
