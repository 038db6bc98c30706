/** The event log in LMDB: what a commit appends, and what it drops from the front. Runs in agent threads. */
import { keysUnder, type EventKey, type LmdbTables, type StoredRow } from './lmdb-tables.js';
import type { LoggedEvent, StoreLimits } from './store.js';

/**
 * Appends, then drops from the front what is over the count, the bytes or the age: as many keys are read as are dropped, and
 * one. The newest event stays though it alone is over the bytes. Returns the bytes that the log has now.
 */
export function appendEvents(
  { events }: LmdbTables,
  row: StoredRow,
  added: readonly LoggedEvent[],
  limits: StoreLimits,
): number {
  const { session } = row;
  const now = Date.now();
  const sizeOf = (key: EventKey): number => (key.length === 4 ? key[3] : Buffer.byteLength(events.get(key) ?? ''));
  let bytes =
    row.logBytes ?? Array.from(events.getKeys(keysUnder(session)), sizeOf).reduce((sum, size) => sum + size, 0);
  for (const { seq, json } of added) {
    const size = Buffer.byteLength(json);
    void events.put([session, seq, now, size], json);
    bytes += size;
  }
  const newest = row.seq + added.length;
  const spent: EventKey[] = [];
  for (const key of events.getKeys(keysUnder(session))) {
    const [, seq, at] = key;
    const over = newest - seq >= limits.maxEvents || (seq < newest && bytes > limits.maxBytes);
    if (!over && at > now - limits.maxAgeMs) break;
    spent.push(key);
    bytes -= sizeOf(key);
  }
  for (const key of spent) void events.remove(key);
  return bytes;
}
