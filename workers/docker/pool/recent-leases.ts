/** How many sandboxes each user was given lately, so that one who takes many waits behind others. Docker thread. */

/** After so long, a lease counts half. */
const HALF_LIFE_MS = 30_000;
/** Below it a user counts as new, and is forgotten. */
const NOTHING = 0.05;
const MAX_USERS = 10_000;
/** Whoever had fewer lately is never told to leave sandboxes to others. */
const MODEST = 5;
/** Others who had less than this share of it are those to whom sandboxes are left. */
const SHARE = 0.25;

export class RecentLeases {
  readonly #clock: () => number;
  /** The one who was given a sandbox last is the last. */
  readonly #users = new Map<string, { weight: number; at: number }>();
  /** How many sandboxes each user has now. */
  readonly #holders = new Map<string, number>();

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  note(user: string): void {
    const weight = this.of(user) + 1;
    this.#users.delete(user);
    this.#users.set(user, { weight, at: this.#clock() });
    for (const [oldest] of this.#users) {
      if (this.of(oldest) > NOTHING && this.#users.size <= MAX_USERS) break;
      this.#users.delete(oldest);
    }
  }

  hold(user: string): void {
    this.#holders.set(user, (this.#holders.get(user) ?? 0) + 1);
  }

  release(user: string): void {
    const left = (this.#holders.get(user) ?? 0) - 1;
    if (left > 0) this.#holders.set(user, left);
    else this.#holders.delete(user);
  }

  /** 1 for one lease just now, 0.5 for one half a minute ago. */
  of(user: string): number {
    const noted = this.#users.get(user);
    return noted ? noted.weight * 2 ** ((noted.at - this.#clock()) / HALF_LIFE_MS) : 0;
  }

  /** Has taken many, those that are `waiting` counted, while somebody else takes few or only has one. Where all work goes by one user, nobody does. */
  isGreedy(user: string, waiting = 0): boolean {
    const own = this.of(user) + waiting;
    if (own < MODEST) return false;
    const takesFew = (other: string): boolean => other !== user && this.of(other) < own * SHARE;
    for (const other of this.#holders.keys()) if (takesFew(other)) return true;
    for (const other of this.#users.keys()) if (this.of(other) > NOTHING && takesFew(other)) return true;
    return false;
  }
}
