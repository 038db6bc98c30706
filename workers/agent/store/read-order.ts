/** Which reads of a session a later write has overtaken: tried again, they would see what came after them. Runs in agent threads. */

interface Reads {
  overtaken: boolean;
  count: number;
}

export class ReadOrder {
  /** Reads under way by session; gone with the last of them, or with the write that overtakes them. */
  readonly #open = new Map<string, Reads>();

  /** `overtaken` says whether a write to the session has been called since. */
  async read<T>(session: string, work: (overtaken: () => boolean) => Promise<T>): Promise<T> {
    const reads = this.#open.get(session) ?? { overtaken: false, count: 0 };
    reads.count += 1;
    this.#open.set(session, reads);
    try {
      return await work(() => reads.overtaken);
    } finally {
      reads.count -= 1;
      if (reads.count === 0 && !reads.overtaken) this.#open.delete(session);
    }
  }

  /** To be called before a write is sent. */
  write(session: string): void {
    const reads = this.#open.get(session);
    if (reads === undefined) return;
    reads.overtaken = true;
    this.#open.delete(session);
  }
}
