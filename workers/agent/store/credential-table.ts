/** The table of credentials: tokens made here, blocked users, ended logins. All servers of one store share it. Types only; agent threads. */
import type { CredentialChanges, CredentialUse, WriteOutcome } from '../contract/credentials.js';

export interface CredentialWrite {
  /** Given to readers as it is; never a secret. */
  value: string;
  /** When the entry is forgotten, ms since the epoch; absent: never. */
  endsAt?: number;
  /** An entry that is there stays, and the outcome is `exists`. */
  ifAbsent?: boolean;
}

/**
 * A small table that is read whole and then followed by its changes: each write has a number above all before it. A removed
 * entry stays as a tombstone for `TOMBSTONE_MS`, so that a reader who comes within that time learns of the removal.
 */
export interface CredentialTable {
  /** Entries that were written after the change `after`, oldest first, at most `limit`. */
  changes(after: number, limit: number): Promise<CredentialChanges>;
  /** Idempotent: a retry of a write that has landed is the same write. */
  write(key: string, write: CredentialWrite): Promise<WriteOutcome>;
  /** False: there was none. */
  remove(key: string): Promise<boolean>;
  /** Keeps the newest use of each entry. It is no change, and brings no removed entry back. */
  noteUses(uses: readonly CredentialUse[]): Promise<void>;
}

/** A reader that has not read for longer reads the whole table again. */
export const TOMBSTONE_MS = 86_400_000;

/** Of all kinds together; removed ones count until they are forgotten. */
export const MAX_CREDENTIALS = 200_000;

/** Each write forgets at most this many entries whose time is over, so that none takes long. */
export const MAX_FORGOTTEN = 10;
