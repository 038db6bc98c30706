/** One at a time for each key; a key that nobody holds costs nothing. Pure; agent threads. */

export class KeyedLock {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Whoever holds a key must come to an end by itself: what it does has deadlines. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const mine = before ? before.then(work, work) : work();
    this.#tails.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(key) === mine) this.#tails.delete(key);
    }
  }
}
