/**
 * Calls that wait until others have settled what they reserved. Of each budget's line only the first asks the store again, so a
 * thousand that wait cost it no more than one. Agent threads.
 */
import { cancelled, onAbort } from '../../../src/shared/abort.js';

/** Another process settles without a word to this one. */
const POLL_MS = 250;

interface Waiter {
  wake: () => void;
}

export class WaitingLine {
  readonly #lines = new Map<string, Set<Waiter>>();

  has(budget: string): boolean {
    return this.#lines.has(budget);
  }

  /** Something has become free there: the first may try again. */
  wake(budget: string): void {
    firstOf(this.#lines.get(budget))?.wake();
  }

  join(budget: string): PlaceInLine {
    const line = this.#lines.get(budget) ?? new Set<Waiter>();
    this.#lines.set(budget, line);
    const waiter: Waiter = { wake: () => undefined };
    line.add(waiter);
    return new PlaceInLine(waiter, {
      isFirst: () => firstOf(line) === waiter,
      leave: () => {
        if (!line.delete(waiter)) return;
        if (line.size > 0) firstOf(line)!.wake();
        else this.#lines.delete(budget);
      },
    });
  }
}

export class PlaceInLine {
  readonly #waiter: Waiter;
  readonly #line: { isFirst: () => boolean; leave: () => void };

  constructor(waiter: Waiter, line: { isFirst: () => boolean; leave: () => void }) {
    this.#waiter = waiter;
    this.#line = line;
  }

  /** Resolves with true when it is the caller's turn to try, with false at the deadline. ERR_CANCELLED. */
  async turnToTry(signal: AbortSignal, deadline: number): Promise<boolean> {
    const leftMs = Math.max(0, deadline - performance.now());
    let timer: NodeJS.Timeout | undefined;
    let stopListening: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiter.wake = resolve;
        timer = setTimeout(resolve, this.#line.isFirst() ? Math.min(POLL_MS, leftMs) : leftMs);
        stopListening = onAbort(signal, () => reject(cancelled()));
      });
    } finally {
      clearTimeout(timer);
      stopListening?.();
      this.#waiter.wake = () => undefined;
    }
    return performance.now() < deadline;
  }

  leave(): void {
    this.#line.leave();
  }
}

function firstOf<T>(line: Set<T> | undefined): T | undefined {
  return line?.values().next().value;
}
