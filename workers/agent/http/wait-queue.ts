/** Who waits for a place, first come first served, bounded. Agent threads. */
import { onAbort } from '../../../src/shared/abort.js';
import { RemoteFailure } from './failures.js';

const MAX_WAITING = 2_000;
const RETRY_AFTER_MS = 2_000;

/** `T`: the place itself, handed over by whoever frees it. */
export class WaitQueue<T> {
  readonly #server: string;
  readonly #waiting = new Set<(place: T) => void>();

  constructor(server: string) {
    this.#server = server;
  }

  /** Resolves when it is one's turn. Rejects with ERR_UNAVAILABLE when too many wait, or as the signal says. */
  async wait(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    const waiting = this.#waiting;
    if (waiting.size >= MAX_WAITING) {
      const text = `${waiting.size} requests to ${this.#server} wait already: see mcp.maxConnections`;
      throw new RemoteFailure('ERR_UNAVAILABLE', text, { sent: false, retryAfterMs: RETRY_AFTER_MS });
    }
    return new Promise((resolve, reject) => {
      // Left at once on either way: no place may go to a request that has been cancelled, and none be lost.
      const stop = onAbort(signal, () => {
        waiting.delete(go);
        reject(signal.reason);
      });
      const go = (place: T): void => {
        stop();
        resolve(place);
      };
      waiting.add(go);
    });
  }

  /** Taken for him who is next: he runs only later. */
  next(take: () => T): void {
    for (const go of this.#waiting) {
      this.#waiting.delete(go);
      go(take());
      return;
    }
  }
}
