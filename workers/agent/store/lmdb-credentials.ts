/** The table of credentials in the embedded store. Agent threads. */
import type { CredentialEntry, CredentialChanges, CredentialUse, WriteOutcome } from '../contract/credentials.js';
import {
  MAX_CREDENTIALS,
  MAX_FORGOTTEN,
  TOMBSTONE_MS,
  type CredentialTable,
  type CredentialWrite,
} from './credential-table.js';
import { CREDENTIAL_HEAD, keyDigest, type LmdbTables, type StoredCredential } from './lmdb-tables.js';

/** How the store runs work in a transaction. */
export interface LmdbDoor {
  read<T>(operation: string, work: (tables: LmdbTables) => T): Promise<T>;
  write<T>(operation: string, work: (tables: LmdbTables) => T): Promise<T>;
}

export class LmdbCredentials implements CredentialTable {
  readonly #door: LmdbDoor;

  constructor(door: LmdbDoor) {
    this.#door = door;
  }

  changes(after: number, limit: number): Promise<CredentialChanges> {
    return this.#door.read('credentialChanges', (tables) => {
      const { credentials, credentialIndex } = tables;
      const { change: newest } = headOf(tables);
      if (newest < after) return { entries: [], next: 0, more: true, lost: true };
      if (newest === after) return { entries: [], next: after, more: false };
      const range = { start: ['change', after + 1], end: ['change', newest + 1], limit };
      const entries: CredentialEntry[] = [];
      let next = after;
      for (const [, change, id] of credentialIndex.getKeys(range)) {
        next = change;
        const found = credentials.get(id);
        if (found) entries.push(entryOf(found));
      }
      const more = next < newest && entries.length > 0;
      return { entries, next: more ? next : newest, more };
    });
  }

  write(key: string, { value, endsAt, ifAbsent = false }: CredentialWrite): Promise<WriteOutcome> {
    return this.#door.write('writeCredential', (tables) => {
      const now = Date.now();
      forgetEnded(tables, now);
      const found = tables.credentials.get(keyDigest(key));
      const live = found?.value !== undefined && !isOver(found, now);
      if (live && ifAbsent) return 'exists';
      if (!found && headOf(tables).count >= MAX_CREDENTIALS) return 'full';
      put(tables, found, { key, value, change: 0, ...(endsAt !== undefined && { endsAt }) });
      return 'written';
    });
  }

  remove(key: string): Promise<boolean> {
    return this.#door.write('removeCredential', (tables) => {
      const now = Date.now();
      const found = tables.credentials.get(keyDigest(key));
      if (found?.value === undefined || isOver(found, now)) return false;
      put(tables, found, { key, change: 0, endsAt: now + TOMBSTONE_MS });
      return true;
    });
  }

  async noteUses(uses: readonly CredentialUse[]): Promise<void> {
    await this.#door.write('noteCredentialUses', ({ credentials }) => {
      for (const { key, at, from } of uses) {
        const id = keyDigest(key);
        const found = credentials.get(id);
        if (found?.value === undefined || (found.usedAt ?? 0) >= at) continue;
        void credentials.put(id, { ...found, usedAt: at, usedFrom: from });
      }
    });
  }
}

interface Head {
  /** The newest change. */
  change: number;
  /** Entries and tombstones. */
  count: number;
}

function headOf({ credentials }: LmdbTables): Head {
  const head = credentials.get(CREDENTIAL_HEAD);
  return { change: head?.change ?? 0, count: head?.count ?? 0 };
}

/** Writes the entry under the next number, in the place of `before`. */
function put(tables: LmdbTables, before: StoredCredential | undefined, entry: StoredCredential): void {
  const { credentials, credentialIndex } = tables;
  const { change: newest, count } = headOf(tables);
  // By the clock, so that a store that lost its newest writes does not give the same numbers to others.
  const change = Math.max(newest + 1, Date.now());
  const id = keyDigest(entry.key);
  if (before) {
    void credentialIndex.remove(['change', before.change, id]);
    if (before.endsAt !== undefined) void credentialIndex.remove(['end', before.endsAt, id]);
  }
  void credentials.put(id, { ...entry, change });
  void credentialIndex.put(['change', change, id], 0);
  if (entry.endsAt !== undefined) void credentialIndex.put(['end', entry.endsAt, id], 0);
  void credentials.put(CREDENTIAL_HEAD, { key: '', change, count: count + (before ? 0 : 1) });
}

function forgetEnded(tables: LmdbTables, now: number): void {
  const { credentials, credentialIndex } = tables;
  const range = { start: ['end'], end: ['end', now], limit: MAX_FORGOTTEN };
  // The keys are listed first: a cursor must not stand on an entry that is removed.
  const ended = Array.from(credentialIndex.getKeys(range));
  if (ended.length === 0) return;
  for (const key of ended) {
    const [, , id] = key;
    const found = credentials.get(id);
    void credentialIndex.remove(key);
    if (found) void credentialIndex.remove(['change', found.change, id]);
    void credentials.remove(id);
  }
  const { change, count } = headOf(tables);
  void credentials.put(CREDENTIAL_HEAD, { key: '', change, count: Math.max(0, count - ended.length) });
}

function isOver({ endsAt }: StoredCredential, now: number): boolean {
  return endsAt !== undefined && endsAt <= now;
}

function entryOf({ key, value, change, endsAt, usedAt, usedFrom }: StoredCredential): CredentialEntry {
  return {
    key,
    change,
    ...(value !== undefined && { value }),
    ...(endsAt !== undefined && value !== undefined && { endsAt }),
    ...(usedAt !== undefined && { usedAt }),
    ...(usedFrom !== undefined && { usedFrom }),
  };
}
