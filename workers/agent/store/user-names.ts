/** The names of the users whom a store knows, for lists. Types only; agent threads. */

/**
 * A name is there from the first session or use on, and may stay when nothing of its user is left: whoever lists looks, and forgets
 * it. Sessions of a version before this index are not in it until somebody has gone through them.
 */
export interface UserNames {
  /** Names behind `after`, sorted; '' is before all. */
  list(after: string, limit: number): Promise<string[]>;
  note(users: readonly string[]): Promise<void>;
  /** Removes the name, unless the user has a session. Idempotent. */
  forget(user: string): Promise<void>;
  /** Every session that was stored before the index has its user in it. */
  isComplete(): Promise<boolean>;
  setComplete(): Promise<void>;
}

/** Stands among the names, where the index is complete: no user can have this name, and it sorts before all. */
export const COMPLETE = ' ';
