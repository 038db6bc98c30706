/** Says when a stream of ready events has run long enough, so that the thread's other sessions have their turn. Agent threads. */

const SLICE_MS = 1;
/** Events that come one by one from the network are further apart: between them the event loop turns anyway. */
const BURST_GAP_MS = 0.25;

export class Slice {
  readonly #now: () => number;
  #lastAt = -Infinity;
  #busyMs = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Called at each event. True: the caller lets the event loop turn, and a new slice begins. */
  isOver(): boolean {
    const now = this.#now();
    const gap = now - this.#lastAt;
    this.#lastAt = now;
    this.#busyMs = gap < BURST_GAP_MS ? this.#busyMs + gap : 0;
    if (this.#busyMs < SLICE_MS) return false;
    this.#busyMs = 0;
    return true;
  }
}
