/** Messages about credentials that live in the store: tokens made here, blocked users, ended logins. Types only. */

/** An entry of the table, or what is left of one. */
export interface CredentialEntry {
  /** Its kind and name, as `token:ID`. */
  key: string;
  /** Text of the kind that the key names; absent: the entry was removed. */
  value?: string;
  /** Grows with each write in the table, by this or another server. */
  change: number;
  /** The entry is over then, ms since the epoch. */
  endsAt?: number;
  /** Its newest use that was written down. */
  usedAt?: number;
  usedFrom?: string;
}

export interface CredentialChangesRequest {
  /** `next` of the answer before; 0: from the beginning. */
  after: number;
  limit: number;
}

export interface CredentialChanges {
  entries: CredentialEntry[];
  /** `after` of the next request. */
  next: number;
  /** There are more now. */
  more: boolean;
  /** The store has forgotten writes that were read before (it was restored or emptied): begin again from 0. */
  lost?: true;
}

export interface WriteCredentialRequest {
  key: string;
  value: string;
  endsAt?: number;
  ifAbsent?: boolean;
}

/** `full`: the table has no room for another entry. */
export type WriteOutcome = 'written' | 'exists' | 'full';

export interface CredentialUse {
  key: string;
  /** ms since the epoch. */
  at: number;
  /** The client's address. */
  from: string;
}

/** Any thread answers. */
export type CredentialRequests = {
  'credential-changes': { request: CredentialChangesRequest; result: CredentialChanges };
  'write-credential': { request: WriteCredentialRequest; result: { outcome: WriteOutcome } };
  /** False: there was no such entry. */
  'remove-credential': { request: { key: string }; result: { removed: boolean } };
  'note-credential-uses': { request: { uses: CredentialUse[] }; result: null };
};
