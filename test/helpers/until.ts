/** Polls a condition that nothing announces, until a deadline that fails the test. Runs in tests. */
import { setTimeout as delay } from 'node:timers/promises';

const AGAIN_MS = 50;

export interface UntilOptions {
  timeoutMs: number;
  /** The actual state, for the error. */
  tell?: () => string;
}

export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  { timeoutMs, tell }: UntilOptions,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) {
      throw new Error(`not so after ${timeoutMs} ms: ${what}${tell ? `\n${tell()}` : ''}`);
    }
    await delay(AGAIN_MS);
  }
}
