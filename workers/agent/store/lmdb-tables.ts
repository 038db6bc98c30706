/** The tables of the embedded store: one LMDB environment with ordered keys. Each agent thread opens it itself. */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open, type Database, type RootDatabase } from 'lmdb';
import { FairleadError } from '../../../src/shared/errors.js';
import type { StoredCounts } from './lmdb-quotas.js';
import type { BudgetKey, BudgetValue } from './lmdb-budgets.js';
import type { StoredUsage, UsageKey } from './lmdb-ledger.js';
import type { SessionRow } from './store.js';

/** A session's row with the store's own fields. The names are those on disk. */
export interface StoredRow extends SessionRow {
  /** Counts clears and seals: a tail that was read under another generation is stale. */
  generation: number;
  /** Key of the next history block. */
  nextBlock: number;
  /** Key of the first unsealed block; keys may have gaps. */
  tailStart: number;
  tailBytes: number;
  /** Number of remembered message ids. */
  ids: number;
  /** Bytes of the events in the log; absent in rows from before this field was added. */
  logBytes?: number;
  /** When to wake the session, see `Commit.wakeAt`; absent: never. Infinity is stored as MAX_VALUE, since JSON has none. */
  due?: number;
  /** Bytes of its history that are in its user's sum; absent: none are. */
  counted?: number;
  /** Bytes of its saved workspaces that are in its user's sum, by server. */
  saved?: Record<string, number>;
}

export interface StoredSecret {
  version: number;
  base64: string;
  /** ms since the epoch; absent: never. */
  endsAt?: number;
}

/** A credential, a tombstone (without a value), or under CREDENTIAL_HEAD the table's own counts. */
export interface StoredCredential {
  key: string;
  value?: string;
  change: number;
  endsAt?: number;
  usedAt?: number;
  usedFrom?: string;
  /** Of the head: entries and tombstones. */
  count?: number;
}

/** In place of a key's digest; no digest is this short. */
export const CREDENTIAL_HEAD = 'head';

export interface LmdbTables {
  root: RootDatabase;
  /** session → row. */
  rows: Database<StoredRow, string>;
  /** [session, n] → block. */
  history: Database<Buffer, [string, number]>;
  /** [session, seq, time, bytes] → JSON. Time and bytes are in the key so that trimming reads no event; old keys lack the bytes. */
  events: Database<string, EventKey>;
  /** [session, 0, digest of the id] → turn, and [session, 1, turn, digest] to find the oldest. */
  ids: Database<number, (string | number)[]>;
  /** Sessions by activity: ['all', lastActiveAt, session] and [digest of the user, lastActiveAt, session]. */
  index: Database<number, [string, number, string]>;
  /** [digest of the owner, wakeAt, session]. */
  wakeUps: Database<number, [string, number, string]>;
  /** digest of the key → secret. */
  secrets: Database<StoredSecret, string>;
  /** [when a secret expires, digest of its key]. */
  secretEnds: Database<number, [number, string]>;
  /** digest of the key → credential. */
  credentials: Database<StoredCredential, string>;
  /** ['change', number of the change, digest] and ['end', when it is over, digest]. */
  credentialIndex: Database<number, [string, number, string]>;
  /** digest of the user → what is counted for the limits. */
  counts: Database<StoredCounts, string>;
  /** Counters of budgets, and what is reserved from them: see BudgetKey. */
  budgets: Database<BudgetValue, BudgetKey>;
  /** [day, kind, digest of the name] → what was used. */
  usage: Database<StoredUsage, UsageKey>;
  /** Names of users → 0. */
  users: Database<number, string>;
}

export type EventKey = [session: string, seq: number, at: number] | [string, number, number, bytes: number];

/** In place of a user's digest: the index of all sessions. No digest is this short. */
export const ALL_USERS = 'all';

export function openTables(dir: string): LmdbTables {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const root = open({
      path: dir,
      // The default for a path with a dot is a single file; `dir` is a folder whatever its name.
      noSubdir: false,
      maxDbs: 32,
      // A commit resolves when it is on the disk, not when it is visible.
      overlappingSync: false,
      // With it each batch leaves a promise that nobody handles: on a full disk its rejection would end the thread.
      eventTurnBatching: false,
    });
    return {
      root,
      rows: root.openDB('rows', { encoding: 'json' }),
      history: root.openDB('history', { encoding: 'binary' }),
      events: root.openDB('events', { encoding: 'string' }),
      ids: root.openDB('ids', { encoding: 'json' }),
      index: root.openDB('index', { encoding: 'json' }),
      wakeUps: root.openDB('due', { encoding: 'json' }),
      secrets: root.openDB('secrets', { encoding: 'json' }),
      secretEnds: root.openDB('secretEnds', { encoding: 'json' }),
      credentials: root.openDB('credentials', { encoding: 'json' }),
      credentialIndex: root.openDB('credentialIndex', { encoding: 'json' }),
      counts: root.openDB('counts', { encoding: 'json' }),
      budgets: root.openDB('budgets', { encoding: 'json' }),
      usage: root.openDB('usage', { encoding: 'json' }),
      users: root.openDB('users', { encoding: 'json' }),
    };
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new FairleadError(
      'ERR_START',
      `the embedded store in ${dir} cannot be opened (${said}): make the folder writable or set FAIRLEAD_DATA`,
      { cause: error },
    );
  }
}

/** Users, owners and message ids as key parts: LMDB bounds keys and forbids NUL in them. JSON keeps lone surrogates distinct. */
export function keyDigest(text: string): string {
  return createHash('sha256').update(JSON.stringify(text)).digest('base64url');
}

/** The range of all keys [session, …]. Strings sort after numbers, so '' is past every number. */
export function keysUnder(session: string): { start: [string]; end: [string, string] } {
  return { start: [session], end: [session, ''] };
}
