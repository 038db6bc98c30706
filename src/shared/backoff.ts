/** How long to wait before the next try. Pure; every thread. */

export interface Backoff {
  /** The wait after the first failure, before jitter. */
  firstMs: number;
  maxMs: number;
  /** Spreads the wait by this share to both sides, so that callers that fail together do not retry together. Default 0.25. */
  jitter?: number;
}

/** Doubles with each failure in a row, up to the maximum. `failures` starts at 1. `random` is 0…1. */
export function backoffMs(
  failures: number,
  { firstMs, maxMs, jitter = 0.25 }: Backoff,
  random: number = Math.random(),
): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 30); // 2 ** 31 is no delay that setTimeout takes
  const delayMs = Math.min(maxMs, firstMs * 2 ** doublings);
  return delayMs * (1 - jitter + 2 * jitter * random);
}
