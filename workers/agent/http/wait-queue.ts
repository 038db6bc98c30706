/** Who waits for a place, first come first served, bounded. Agent threads. */
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
  wait(signal: AbortSignal): Promise<T> {
    const waiting = this.#waiting;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (waiting.size >= MAX_WAITING) {
        const text = `${waiting.size} requests to ${this.#server} wait already: see mcp.maxConnections`;
        return reject(new RemoteFailure('ERR_UNAVAILABLE', text, { sent: false, retryAfterMs: RETRY_AFTER_MS }));
      }
      const go = (place: T): void => {
        signal.removeEventListener('abort', onAbort);
        resolve(place);
      };
      const onAbort = (): void => {
        waiting.delete(go);
        reject(signal.reason);
      };
      waiting.add(go);
      signal.addEventListener('abort', onAbort, { once: true });
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
