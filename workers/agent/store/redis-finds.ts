/** Finds sessions in Redis by the indexes beside them, and mends entries that a crash has left behind. Agent threads. */
import { moveInIndexes, placesAfter, SESSIONS_KEY, userKey } from './redis-indexes.js';
import type { RedisCall } from './redis-link.js';
import { readActivity, readRow } from './redis-rows.js';
import { placeToCursor, type placeFromCursor } from './row-codec.js';
import type { SessionPage, SessionRow } from './store.js';

/** Older than this, an index entry without a row is an orphan, and not a session that is being created. */
const ORPHAN_MS = 60_000;
/** Pages of stale index entries that one search for expired sessions repairs at most. */
const MAX_REPAIRS = 10;

/** The user's sessions, or with undefined everybody's; last active first. */
export async function listFrom(
  call: RedisCall,
  user: string | undefined,
  { from, limit }: { from: ReturnType<typeof placeFromCursor> | undefined; limit: number },
): Promise<SessionPage> {
  // One extra place tells whether there is a next page.
  const key = user === undefined ? SESSIONS_KEY : userKey(user);
  const places = await placesAfter(call, key, from, limit + 1);
  const shown = places.slice(0, limit);
  const rows = await Promise.all(shown.map(({ session }) => readRow(call, session)));
  const isOrphan = (row: SessionRow | undefined): boolean => user !== undefined && row?.user !== user;
  const orphans = shown.filter(({ at }, index) => isOrphan(rows[index]) && at < Date.now() - ORPHAN_MS);
  if (orphans.length > 0) await call.send(['ZREM', key, ...orphans.map(({ session }) => session)]);
  const sessions = rows.filter((row) => row !== undefined).filter((row) => !isOrphan(row));
  const last = shown.at(-1);
  return places.length > limit && last !== undefined ? { sessions, next: placeToCursor(last) } : { sessions };
}

/** Sessions that were last active before `before` (ms), oldest first. */
export async function findExpired(call: RedisCall, before: number, limit: number): Promise<string[]> {
  for (let repairs = 0; repairs < MAX_REPAIRS; repairs++) {
    const range = [SESSIONS_KEY, '-inf', `(${before}`, 'BYSCORE', 'LIMIT', '0', String(limit)];
    const found = await call.send<string[]>(['ZRANGE', ...range]);
    const rows = await Promise.all(found.map((session) => readActivity(call, session)));
    // The row is the truth: an index that a crash has left behind is moved.
    const active = rows.filter((row) => row.at >= before);
    await moveInIndexes(call, active);
    const expired = rows.filter((row) => row.at < before).map(({ session }) => session);
    if (expired.length > 0 || found.length < limit) return expired;
  }
  return [];
}
