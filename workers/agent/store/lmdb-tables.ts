/** The embedded store's files: one LMDB environment, its tables and their ordered keys. Each agent thread opens it itself. */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open, type Database, type RootDatabase } from 'lmdb';
import { FairleadError } from '../../../src/shared/errors.js';
import type { SessionRow } from './store.js';

/** A session's row and what the store itself must know of it. */
export interface StoredRow extends SessionRow {
  /** Counts clears and seals: a tail that was read before one is stale. */
  generation: number;
  /** Key of the next history block. */
  nextBlock: number;
  /** Key from which on the blocks are unsealed; keys may have gaps. */
  tailStart: number;
  tailBytes: number;
  /** How many message ids are remembered. */
  ids: number;
  /** Bytes of the events in the log; absent in rows of an earlier version. */
  logBytes?: number;
  /** Its place in the owner's due sessions; absent: none. JSON has no Infinity: MAX_VALUE. */
  due?: number;
}

export interface StoredSecret {
  version: number;
  base64: string;
  /** ms since the epoch; absent: it stays. */
  endsAt?: number;
}

export interface LmdbTables {
  root: RootDatabase;
  /** session → row. */
  rows: Database<StoredRow, string>;
  /** [session, n] → block. */
  history: Database<Buffer, [string, number]>;
  /** [session, seq, time, bytes] → JSON; time and bytes are in the key so that trimming reads no event. No bytes in an earlier version. */
  events: Database<string, EventKey>;
  /** [session, 0, digest of the id] → turn, and [session, 1, turn, digest] to find the oldest. */
  ids: Database<number, (string | number)[]>;
  /** ['all', lastActiveAt, session] and [digest of the user, lastActiveAt, session]. */
  index: Database<number, [string, number, string]>;
  /** [digest of the owner, due, session]. */
  wakeUps: Database<number, [string, number, string]>;
  /** digest of the key → secret. */
  secrets: Database<StoredSecret, string>;
  /** [when a secret's time is over, digest of its key]. */
  secretEnds: Database<number, [number, string]>;
}

export type EventKey = [session: string, seq: number, at: number] | [string, number, number, bytes: number];

/** The index of all sessions; no digest is so short. */
export const ALL_USERS = 'all';

export function openTables(dir: string): LmdbTables {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const root = open({
      path: dir,
      // The default for a path with a dot is a single file; `dir` is a folder whatever its name.
      noSubdir: false,
      maxDbs: 12,
      // A commit resolves when it is on the disk, not when it is visible.
      overlappingSync: false,
      // With it, each batch leaves a promise that nobody holds: one full disk, and its rejection ends the thread.
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

/** Users and message ids as key parts: keys are bounded in LMDB and hold no NUL; JSON keeps lone surrogates apart. */
export function keyDigest(text: string): string {
  return createHash('sha256').update(JSON.stringify(text)).digest('base64url');
}

/** Every key [session, …]. Strings sort after numbers, so this is past any number. */
export function keysUnder(session: string): { start: [string]; end: [string, string] } {
  return { start: [session], end: [session, ''] };
}
