/** Store work that no caller waits for (sealing, indexes): it is tracked, and close waits for it. Agent threads. */

type OnError = (operation: string, error: unknown) => void;

export class Background {
  /** By key, one at a time. All tracked work has a deadline of its own, so it ends. */
  readonly #once = new Map<string, Promise<void>>();
  readonly #watched = new Set<Promise<void>>();
  readonly #onError: OnError;

  constructor(onError: OnError | undefined) {
    this.#onError = onError ?? (() => undefined);
  }

  /**
   * Starts `work` in a later turn of the event loop, so that the caller does not wait. Does nothing while the key is busy or
   * `limit` others run: the next commit asks again.
   */
  startOnce(operation: string, key: string, limit: number, work: () => Promise<unknown>): void {
    if (this.#once.has(key) || this.#once.size >= limit) return;
    const turn = new Promise<void>((resolve) => setImmediate(resolve));
    const done = this.#settled(operation, turn.then(work)).finally(() => this.#once.delete(key));
    this.#once.set(key, done);
  }

  /** Tracks work that has begun. */
  watch(operation: string, work: Promise<unknown>): void {
    const done = this.#settled(operation, work).finally(() => this.#watched.delete(done));
    this.#watched.add(done);
  }

  /** Resolves when no work is left. */
  async settle(): Promise<void> {
    while (this.#once.size + this.#watched.size > 0) await Promise.all([...this.#once.values(), ...this.#watched]);
  }

  #settled(operation: string, work: Promise<unknown>): Promise<void> {
    return work.then(
      () => undefined,
      (error: unknown) => this.#onError(operation, error),
    );
  }
}
