/** One block of a history in the embedded store, with what a reader needs to know of its moment. Pure; agent threads. */
import { keysUnder, type LmdbTables } from './lmdb-tables.js';
import type { BlockPlace, FoundBlock } from './store.js';

export function findBlock({ rows, history }: LmdbTables, session: string, place: BlockPlace): FoundBlock {
  const row = rows.get(session);
  const range =
    'from' in place
      ? { ...keysUnder(session), start: [session, place.from], limit: 1 }
      : { start: [session, place.to], end: [session], reverse: true, limit: 1 };
  const [found] = history.getRange(range);
  return {
    generation: row?.generation ?? 0,
    ...(row?.history && { history: row.history }),
    ...(found && { at: found.key[1], block: found.value }),
  };
}
