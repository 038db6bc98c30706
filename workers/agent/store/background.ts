/** Store work that no caller waits for (sealing, indexes): kept count of, and waited for at close. Runs in agent threads. */

type OnError = (operation: string, error: unknown) => void;

export class Background {
  /** One at a time by key. What is in here and below has a deadline of its own, so it ends. */
  readonly #once = new Map<string, Promise<void>>();
  readonly #watched = new Set<Promise<void>>();
  readonly #onError: OnError;

  constructor(onError: OnError | undefined) {
    this.#onError = onError ?? (() => undefined);
  }

  /** Runs `work` after the present caller has gone on, unless its key is busy or `limit` others run: the next commit asks again. */
  startOnce(operation: string, key: string, limit: number, work: () => Promise<unknown>): void {
    if (this.#once.has(key) || this.#once.size >= limit) return;
    const turn = new Promise<void>((resolve) => setImmediate(resolve));
    const done = this.#settled(operation, turn.then(work)).finally(() => this.#once.delete(key));
    this.#once.set(key, done);
  }

  /** Keeps count of work that has begun. */
  watch(operation: string, work: Promise<unknown>): void {
    const done = this.#settled(operation, work).finally(() => this.#watched.delete(done));
    this.#watched.add(done);
  }

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
