/** Limits how often one server may add to our log, and counts what is left out. Agent threads. */

export class LogRate {
  readonly #maxPerSecond: number;
  readonly #onLeftOut: (amount: number) => void;
  #second = 0;
  #taken = 0;
  #leftOut = 0;

  /** `onLeftOut` is called with the sum of a second's amounts, on the first `take` of a later second. */
  constructor(maxPerSecond: number, onLeftOut: (amount: number) => void) {
    this.#maxPerSecond = maxPerSecond;
    this.#onLeftOut = onLeftOut;
  }

  /** False when this second is full. */
  take(amount = 1): boolean {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      if (this.#leftOut > 0) this.#onLeftOut(this.#leftOut);
      this.#second = second;
      this.#taken = 0;
      this.#leftOut = 0;
    }
    if (++this.#taken <= this.#maxPerSecond) return true;
    this.#leftOut += amount;
    return false;
  }
}
