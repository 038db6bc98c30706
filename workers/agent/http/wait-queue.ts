/** A bounded queue of requests that wait for a slot, first come, first served. Agent threads. */
import { onAbort } from '../../../src/shared/abort.js';
import { RemoteFailure } from './failures.js';

const MAX_WAITING = 2_000;
const RETRY_AFTER_MS = 2_000;

/** `T`: the slot, handed over by whoever frees one. */
export class WaitQueue<T> {
  readonly #server: string;
  readonly #waiting = new Set<(slot: T) => void>();

  constructor(server: string) {
    this.#server = server;
  }

  get length(): number {
    return this.#waiting.size;
  }

  /** Resolves with a slot. Rejects with ERR_UNAVAILABLE when too many wait, and with the signal's reason. */
  async wait(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    const waiting = this.#waiting;
    if (waiting.size >= MAX_WAITING) {
      const text = `${waiting.size} requests to ${this.#server} wait already: see mcp.maxConnections`;
      throw new RemoteFailure('ERR_UNAVAILABLE', text, { sent: false, retryAfterMs: RETRY_AFTER_MS });
    }
    return new Promise((resolve, reject) => {
      // Both ways leave the queue in the same tick: a slot given to a cancelled request would be lost.
      const stop = onAbort(signal, () => {
        waiting.delete(go);
        reject(signal.reason);
      });
      const go = (slot: T): void => {
        stop();
        resolve(slot);
      };
      waiting.add(go);
    });
  }

  /** Takes a slot for the next in line, whose code runs in a later microtask. */
  next(take: () => T): void {
    for (const go of this.#waiting) {
      this.#waiting.delete(go);
      go(take());
      return;
    }
  }
}
