/** The indexes beside the sessions in Redis: all sessions and each user's by last activity, each owner's wake-ups. Agent threads. */
import type { RedisCall } from './redis-link.js';
import { escapeText, type ListPlace } from './row-codec.js';

/** All sessions by last activity. Like the users' indexes it lies outside the sessions' hash slots. */
export const SESSIONS_KEY = 'fairlead:sessions';

/** How long an index may lag behind a commit. */
const DELAY_MS = 50;
const MAX_PENDING = 500;

export function userKey(user: string): string {
  return `fairlead:user:${escapeText(user)}`;
}

/** The sessions that a server must wake, by when. The key's name is the stored one. */
export function wakeUpKey(owner: string): string {
  return `fairlead:due:${escapeText(owner)}`;
}

export interface IndexMove {
  session: string;
  user: string;
  /** ms since the epoch. */
  at: number;
}

/** Collects the index moves of many commits and sends them together. Sent one by one they were a quarter of a turn's load on Redis. */
export class IndexMoves {
  readonly #move: (moves: readonly IndexMove[]) => void;
  #pending = new Map<string, IndexMove>();
  #timer: NodeJS.Timeout | undefined;

  constructor(move: (moves: readonly IndexMove[]) => void) {
    this.#move = move;
  }

  add(move: IndexMove): void {
    this.#pending.set(move.session, move);
    if (this.#pending.size >= MAX_PENDING) return this.flush();
    this.#timer ??= setTimeout(() => this.flush(), DELAY_MS);
  }

  /** Sends what is pending now: before an index is read, and at close. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.size === 0) return;
    const moves = [...this.#pending.values()];
    this.#pending = new Map();
    this.#move(moves);
  }
}

/** Moves only sessions that are in the indexes: one that was deleted meanwhile does not come back. */
export async function moveInIndexes(call: RedisCall, moves: readonly IndexMove[], ...flags: 'GT'[]): Promise<void> {
  if (moves.length === 0) return;
  const keys = new Map<string, string[]>([[SESSIONS_KEY, []]]);
  for (const { session, user, at } of moves) {
    for (const key of [SESSIONS_KEY, userKey(user)]) {
      const members = keys.get(key) ?? [];
      members.push(String(at), session);
      keys.set(key, members);
    }
  }
  await Promise.all(Array.from(keys, ([key, members]) => call.send(['ZADD', key, 'XX', ...flags, ...members])));
}

/** Places of an index strictly after `from`, last active first; equal times by session, descending, as ZRANGE REV sorts them. */
export async function placesAfter(
  call: RedisCall,
  key: string,
  from: ListPlace | undefined,
  count: number,
): Promise<ListPlace[]> {
  const places: ListPlace[] = [];
  for (let offset = 0; places.length < count; offset += count) {
    const range = [key, from === undefined ? '+inf' : String(from.at), '-inf', 'BYSCORE', 'REV'];
    const found = await call.send<[string, number][]>([
      'ZRANGE',
      ...range,
      'LIMIT',
      String(offset),
      String(count),
      'WITHSCORES',
    ]);
    for (const [session, at] of found) {
      if (from === undefined || at < from.at || session < from.session) places.push({ at, session });
    }
    if (found.length < count) break;
  }
  return places.slice(0, count);
}
