/** Tracks which reads of a session were overtaken by a later write: a retry of such a read would see that write. Agent threads. */

interface Reads {
  overtaken: boolean;
  count: number;
}

export class ReadOrder {
  /** Reads under way, by session. An entry is removed with the last of its reads, or by the write that overtakes them. */
  readonly #open = new Map<string, Reads>();

  /** `overtaken()` is true once a write to the session was called after this read. */
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

  /** Call it before a write is sent. */
  write(session: string): void {
    const reads = this.#open.get(session);
    if (reads === undefined) return;
    reads.overtaken = true;
    this.#open.delete(session);
  }
}
