/** Deadlines of one length for many waiters with one timer: they fall due in the order they were set. Agent threads. */

interface Entry {
  at: number;
  due: () => void;
}

export class Deadlines {
  readonly #lengthMs: number;
  /** A Map keeps the order of insertion, and that is the order of the deadlines. */
  readonly #entries = new Map<symbol, Entry>();
  #timer: NodeJS.Timeout | undefined;

  constructor(lengthMs: number) {
    this.#lengthMs = lengthMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** `due` runs once, unless `cancel` comes first. `expiresAt` is ms since the epoch. */
  add(due: () => void): { expiresAt: number; cancel: () => void } {
    const key = Symbol('deadline');
    const at = Date.now() + this.#lengthMs;
    this.#entries.set(key, { at, due });
    this.#arm();
    return { expiresAt: at, cancel: () => this.#remove(key) };
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#entries.clear();
  }

  #remove(key: symbol): void {
    this.#entries.delete(key);
    if (this.#entries.size === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }

  #arm(): void {
    if (this.#timer) return;
    const [first] = this.#entries.values();
    if (!first) return;
    this.#timer = setTimeout(() => this.#fire(), Math.max(0, first.at - Date.now()));
  }

  #fire(): void {
    this.#timer = undefined;
    const now = Date.now();
    for (const [key, entry] of this.#entries) {
      if (entry.at > now) break;
      this.#entries.delete(key);
      entry.due();
    }
    this.#arm();
  }
}
