/** The users who are blocked: none of their credentials lets them in, and none of their turns runs. Main thread. */
import type { Logger } from '../shared/log.js';
import type { View } from './mirror.js';
import { BLOCK_KIND, readBlock, type BlockRecord } from './records.js';

export interface BlockedUsersOptions {
  log: Logger;
  /** The list has changed; `blocked` are those who are new in it. */
  onChanged: (blocked: ReadonlySet<string>) => void;
}

/** Of a block that nobody can read: it blocks all the same. */
const UNREADABLE: BlockRecord = { since: 0, by: '' };

export class BlockedUsers implements View {
  readonly kind = BLOCK_KIND;
  readonly #options: BlockedUsersOptions;
  readonly #blocks = new Map<string, BlockRecord>();
  #fresh = new Set<string>();
  #changed = false;

  constructor(options: BlockedUsersOptions) {
    this.#options = options;
  }

  has(user: string): boolean {
    return this.#blocks.has(user);
  }

  get(user: string): BlockRecord | undefined {
    return this.#blocks.get(user);
  }

  names(): string[] {
    return [...this.#blocks.keys()];
  }

  put(user: string, value: string): void {
    const record = readBlock(value);
    if (!record) this.#options.log.error({ user }, 'a block in the store cannot be read: the user stays blocked');
    if (!this.#blocks.has(user)) this.#fresh.add(user);
    this.#blocks.set(user, record ?? UNREADABLE);
    this.#changed = true;
  }

  drop(user: string): void {
    this.#blocks.delete(user);
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
