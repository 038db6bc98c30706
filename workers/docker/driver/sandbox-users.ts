/**
 * Gives each container two user ids of its own, so that limits that the kernel counts by user (inotify, keys, pipes) are not
 * shared between tenants. Docker thread.
 */
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';

/** On a container: its two ids, `SERVER:RUNNER`. Absent on containers of 0.2.0. */
export const LABEL_USERS = 'fairlead.users';

const RETRY_AFTER_MS = 5_000;

export interface UserPair {
  /** Runs the image's server where it has a runner. */
  readonly server: number;
  /** Runs all else, and owns /workspace and /tmp. */
  readonly runner: number;
}

export class SandboxUsers {
  readonly #from: number;
  readonly #pairs: number;
  readonly #byName = new Map<string, number>();
  readonly #taken = new Set<number>();

  constructor({ from, count }: Config['sandbox']['uids']) {
    this.#from = from;
    this.#pairs = Math.floor(count / 2);
  }

  /**
   * The pair of a new container; the same for the same name. It begins to look at a random place, so that two instances with
   * the same range rarely meet. ERR_UNAVAILABLE.
   */
  take(name: string, random: () => number = Math.random): UserPair {
    const known = this.#byName.get(name);
    if (known !== undefined) return this.#pair(known);
    const start = Math.floor(random() * this.#pairs);
    for (let step = 0; step < this.#pairs; step++) {
      const index = (start + step) % this.#pairs;
      if (this.#taken.has(index)) continue;
      this.#note(name, index);
      return this.#pair(index);
    }
    throw new FairleadError('ERR_UNAVAILABLE', 'all ids of sandbox.uids are in use', { retryAfterMs: RETRY_AFTER_MS });
  }

  /** A container that is there already has this label. */
  note(name: string, label: string | undefined): void {
    const pair = readUsers(label);
    const index = pair && (pair.server - this.#from) / 2;
    if (index !== undefined && Number.isInteger(index) && index >= 0 && index < this.#pairs) this.#note(name, index);
  }

  /** The container is gone. Idempotent. */
  giveBack(name: string): void {
    const index = this.#byName.get(name);
    this.#byName.delete(name);
    if (index !== undefined && ![...this.#byName.values()].includes(index)) this.#taken.delete(index);
  }

  #note(name: string, index: number): void {
    this.#byName.set(name, index);
    this.#taken.add(index);
  }

  #pair(index: number): UserPair {
    return { server: this.#from + 2 * index, runner: this.#from + 2 * index + 1 };
  }
}

export function labelOf({ server, runner }: UserPair): string {
  return `${server}:${runner}`;
}

export function readUsers(label: string | undefined): UserPair | undefined {
  const [, server, runner] = /^(\d+):(\d+)$/.exec(label ?? '') ?? [];
  return server === undefined ? undefined : { server: Number(server), runner: Number(runner) };
}
