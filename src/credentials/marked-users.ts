/** Users of whom the shared table has an entry of one kind: blocked ones, those on their way out. Main thread. */
import type { View } from './mirror.js';

export interface MarkedUsersOptions<T> {
  /** Undefined: nobody can read it. */
  read: (value: string, user: string) => T | undefined;
  /** In place of an entry that nobody can read: it counts all the same. */
  unreadable: T;
  /** After a page of changes; `fresh` are those who had no entry before. */
  onChanged: (fresh: ReadonlySet<string>) => void;
}

export class MarkedUsers<T> implements View {
  readonly kind: string;
  readonly #options: MarkedUsersOptions<T>;
  readonly #marks = new Map<string, T>();
  #fresh = new Set<string>();
  #changed = false;

  constructor(kind: string, options: MarkedUsersOptions<T>) {
    this.kind = kind;
    this.#options = options;
  }

  has(user: string): boolean {
    return this.#marks.has(user);
  }

  get(user: string): T | undefined {
    return this.#marks.get(user);
  }

  all(): [user: string, mark: T][] {
    return [...this.#marks];
  }

  names(): string[] {
    return [...this.#marks.keys()];
  }

  put(user: string, value: string): void {
    const { read, unreadable } = this.#options;
    if (!this.#marks.has(user)) this.#fresh.add(user);
    this.#marks.set(user, read(value, user) ?? unreadable);
    this.#changed = true;
  }

  drop(user: string): void {
    this.#marks.delete(user);
    this.#fresh.delete(user);
    this.#changed = true;
  }

  applied(): void {
    if (!this.#changed) return;
    const fresh = this.#fresh;
    this.#fresh = new Set();
    this.#changed = false;
    this.#options.onChanged(fresh);
  }
}
