/**
 * How many requests to the model each agent thread has under way, in memory that all threads share: while nothing is short, a request asks
 * nobody. Every thread.
 */

/** Above 0: whoever wants to ask the model asks the broker first. The slots of the threads follow. */
const ASKS = 0;
const FIRST = 1;

export class ModelSlots {
  readonly memory: SharedArrayBuffer;
  readonly #counts: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#counts = new Int32Array(memory);
  }

  static create(threads: number): ModelSlots {
    return new ModelSlots(new SharedArrayBuffer((FIRST + threads) * Int32Array.BYTES_PER_ELEMENT));
  }

  get mustAsk(): boolean {
    return Atomics.load(this.#counts, ASKS) > 0;
  }

  set mustAsk(value: boolean) {
    Atomics.store(this.#counts, ASKS, value ? 1 : 0);
  }

  /** Of all threads. */
  get total(): number {
    let sum = 0;
    for (let at = FIRST; at < this.#counts.length; at++) sum += Atomics.load(this.#counts, at);
    return sum;
  }

  /**
   * Takes a slot, unless there are `max`. It counts itself before it looks: of two at once for the last slot at least one sees the other.
   * Both may give way; then both ask the broker.
   */
  begin(thread: number, max: number): boolean {
    Atomics.add(this.#counts, FIRST + thread, 1);
    if (max === Infinity || this.total <= max) return true;
    this.end(thread);
    return false;
  }

  end(thread: number): void {
    Atomics.sub(this.#counts, FIRST + thread, 1);
  }

  /** The thread has died. */
  clear(thread: number): void {
    Atomics.store(this.#counts, FIRST + thread, 0);
  }
}
