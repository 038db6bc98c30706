/** A session's keys in Redis, and its row as one read. Agent threads. */
import { countKeys } from './redis-count.js';
import type { RedisCall } from './redis-link.js';
import { ROW_FIELDS, rowFromValues, unescapeText, type ListPlace } from './row-codec.js';
import type { SessionRow } from './store.js';

/** All keys of a session are in one hash slot. */
export function keysOf(session: string) {
  const prefix = `fairlead:{${session}}:`;
  return { row: `${prefix}row`, history: `${prefix}history`, events: `${prefix}events`, ids: `${prefix}ids` };
}

/** Of a session whose user has been read: what is counted goes with it. */
export function countedKeys(user: string | null): string[] {
  return user === null ? [] : countKeys(unescapeText(user)).slice(0, 2);
}

/** The row's `due` field, and the score in the index; '' is none. */
export function scoreOf(wakeAt: number | null): string {
  if (wakeAt === null) return '';
  return wakeAt === Infinity ? '+inf' : String(wakeAt);
}

export async function readRow(call: RedisCall, session: string): Promise<SessionRow | undefined> {
  return rowFromValues(await call.send<(string | null)[]>(['HMGET', keysOf(session).row, ...ROW_FIELDS]));
}

/** An index entry without a row reads as never active, so it expires. */
export async function readActivity(call: RedisCall, session: string): Promise<ListPlace & { user: string }> {
  type Reply = [at: string | null, user: string | null];
  const [at, user] = await call.send<Reply>(['HMGET', keysOf(session).row, 'lastActiveAt', 'user']);
  return { session, at: Number(at ?? 0), user: unescapeText(user ?? '') };
}
