/** Users who are being deleted: every server keeps them out until nothing of them is left. Main thread. */
import { z } from 'zod';
import type { View } from '../credentials/mirror.js';

export const ERASE_KIND = 'erase:';

/** Unknown fields are dropped, so that an older server reads what a newer one has written. */
const schema = z.object({
  /** ms since the epoch. */
  since: z.number().int().min(0),
  by: z.string(),
  /** The server that does it, and goes on with it after its restart. */
  server: z.string(),
});
export type Erasure = z.infer<typeof schema>;

/** Of an entry that nobody can read: it keeps its user out all the same, until somebody deletes them again. */
const UNREADABLE: Erasure = { since: 0, by: '', server: '' };

export class Erasures implements View {
  readonly kind = ERASE_KIND;
  readonly #onChanged: (fresh: ReadonlySet<string>) => void;
  readonly #known = new Map<string, Erasure>();
  #fresh = new Set<string>();
  #changed = false;

  /** `fresh`: who was not being deleted before. */
  constructor(onChanged: (fresh: ReadonlySet<string>) => void) {
    this.#onChanged = onChanged;
  }

  has(user: string): boolean {
    return this.#known.has(user);
  }

  get(user: string): Erasure | undefined {
    return this.#known.get(user);
  }

  all(): [user: string, erasure: Erasure][] {
    return [...this.#known];
  }

  put(user: string, value: string): void {
    if (!this.#known.has(user)) this.#fresh.add(user);
    this.#known.set(user, readErasure(value) ?? UNREADABLE);
    this.#changed = true;
  }

  drop(user: string): void {
    this.#known.delete(user);
    this.#fresh.delete(user);
    this.#changed = true;
  }

  applied(): void {
    if (!this.#changed) return;
    const fresh = this.#fresh;
    this.#fresh = new Set();
    this.#changed = false;
    this.#onChanged(fresh);
  }
}

function readErasure(value: string): Erasure | undefined {
  try {
    return schema.safeParse(JSON.parse(value)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
