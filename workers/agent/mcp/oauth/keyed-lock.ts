/** A lock for each key; an unused key takes no memory. Pure; agent threads. */

export class KeyedLock {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** `work` must end by itself: the lock has no deadline. */
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
