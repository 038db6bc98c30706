/** The event log in LMDB: a commit appends to its end and trims its front. Agent threads. */
import { keysUnder, type EventKey, type LmdbTables, type StoredRow } from './lmdb-tables.js';
import type { LoggedEvent, StoreLimits } from './store.js';

/**
 * Appends, then drops the oldest events that exceed the limits of count, bytes or age. The cost: it reads the keys that it
 * drops and one more. The newest event stays even if it alone exceeds the bytes. Returns the new size of the log in bytes.
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
