/** Sessions in the embedded store: their rows, index entries, wake-ups and remembered message ids. Agent threads. */
import { uncountSession } from './lmdb-quotas.js';
import { ALL_USERS, keyDigest, keysUnder, type LmdbTables, type StoredRow } from './lmdb-tables.js';
import type { Commit, SessionRow } from './store.js';

export function publicRow(row: StoredRow): SessionRow {
  const {
    generation: _generation,
    nextBlock: _nextBlock,
    tailStart: _tailStart,
    tailBytes: _tailBytes,
    ids: _ids,
    logBytes: _logBytes,
    due: _due,
    counted: _counted,
    saved: _saved,
    ...rest
  } = row;
  // Rows from before these fields were added lack them.
  return { ...rest, owner: row.owner ?? '', context: row.context ?? null };
}

/** Drops keys whose value is undefined: they would overwrite what is stored. */
export function definedOf(row: Commit['row']): Partial<SessionRow> {
  return Object.fromEntries(Object.entries(row ?? {}).filter(([, value]) => value !== undefined));
}

export function indexKeys({ session, user, lastActiveAt }: SessionRow): [string, number, string][] {
  return [
    [ALL_USERS, lastActiveAt, session],
    [keyDigest(user), lastActiveAt, session],
  ];
}

export function moveActivity({ index }: LmdbTables, row: SessionRow, at: number): void {
  for (const key of indexKeys(row)) void index.remove(key);
  for (const key of indexKeys({ ...row, lastActiveAt: at })) void index.put(key, 0);
}

export function moveWakeUp({ wakeUps }: LmdbTables, before: StoredRow, after: StoredRow): void {
  const { session } = before;
  if (before.due !== undefined) void wakeUps.remove([keyDigest(before.owner), before.due, session]);
  if (after.due !== undefined) void wakeUps.put([keyDigest(after.owner), after.due, session], 0);
}

export function removeSession(tables: LmdbTables, row: StoredRow): void {
  const { rows, history, events, ids, index } = tables;
  // The keys are listed first: a cursor must not stand on an entry that is removed.
  const range = keysUnder(row.session);
  for (const key of Array.from(history.getKeys(range))) void history.remove(key);
  for (const key of Array.from(events.getKeys(range))) void events.remove(key);
  for (const key of Array.from(ids.getKeys(range))) void ids.remove(key);
  for (const key of indexKeys(row)) void index.remove(key);
  uncountSession(tables, row);
  const { due: _due, ...rest } = row;
  moveWakeUp(tables, row, rest);
  void rows.remove(row.session);
}

export function remember({ ids }: LmdbTables, row: StoredRow, idDigest: string, turn: number, max: number): void {
  const { session } = row;
  void ids.put([session, 0, idDigest], turn);
  void ids.put([session, 1, turn, idDigest], 0);
  row.ids += 1;
  if (row.ids <= max) return;
  const [oldest] = ids.getKeys({ start: [session, 1], end: [session, 2], limit: 1 });
  if (oldest === undefined) return;
  void ids.remove(oldest);
  void ids.remove([session, 0, String(oldest[3])]);
  row.ids -= 1;
}
