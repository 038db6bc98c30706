/** Lets streams pass at a common rate. Docker thread. */
import { setTimeout as delay } from 'node:timers/promises';

/** Shorter waits are put off: they add up. */
const SHORTEST_WAIT_MS = 20;

export class Pace {
  readonly #bytesPerSecond: number;
  /** When all that has passed would have passed at this rate. */
  #until = performance.now();

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Resolves when so many bytes may pass. The signal's abort. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    this.#until = Math.max(now, this.#until) + (bytes / this.#bytesPerSecond) * 1_000;
    const waitMs = this.#until - now;
    if (waitMs >= SHORTEST_WAIT_MS) await delay(waitMs, undefined, { signal });
  }
}
