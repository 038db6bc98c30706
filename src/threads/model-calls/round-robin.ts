/** Lines of those who wait, one a user, served in turns: one user with many delays each other by one at most. Main thread. */

export class RoundRobin<T extends { readonly user: string }> {
  /** The user whose turn it is comes first; who was served goes to the end. */
  readonly #lines = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  *all(): Iterable<T> {
    for (const line of this.#lines.values()) yield* line;
  }

  /** `first`: before the user's others. */
  add(waiter: T, first = false): void {
    const line = this.#lines.get(waiter.user);
    if (!line) this.#lines.set(waiter.user, [waiter]);
    else if (first) line.unshift(waiter);
    else line.push(waiter);
    this.#size++;
  }

  /** Whoever is served next of those who may be. It stays in its line. */
  next(may: (waiter: T) => boolean): T | undefined {
    for (const line of this.#lines.values()) {
      const first = line.find(may);
      if (first) return first;
    }
    return undefined;
  }

  /** It has been served: its user's others come after everybody else's next. */
  serve(waiter: T): void {
    if (!this.remove(waiter)) return;
    const line = this.#lines.get(waiter.user);
    if (!line) return;
    this.#lines.delete(waiter.user);
    this.#lines.set(waiter.user, line);
  }

  remove(waiter: T): boolean {
    const line = this.#lines.get(waiter.user);
    const at = line?.indexOf(waiter) ?? -1;
    if (!line || at < 0) return false;
    line.splice(at, 1);
    this.#size--;
    if (line.length === 0) this.#lines.delete(waiter.user);
    return true;
  }

  /** How many are served before it, at most. */
  ahead(waiter: T): number {
    const own = this.#lines.get(waiter.user)?.indexOf(waiter) ?? 0;
    let ahead = own;
    for (const [user, line] of this.#lines) if (user !== waiter.user) ahead += Math.min(line.length, own + 1);
    return ahead;
  }
}
