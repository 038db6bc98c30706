/** The indexes beside the sessions in Redis: by last activity, of all and of each user, and what is due. Runs in agent threads. */
import type { RedisCall } from './redis-link.js';
import { escapeText, type ListPlace } from './row-codec.js';

/** All sessions by last activity; outside the sessions' hash slots, as are the users' own. */
export const SESSIONS_KEY = 'fairlead:sessions';

/** How much later a session may come to its place in a list. */
const DELAY_MS = 50;
const MAX_PENDING = 500;

export function userKey(user: string): string {
  return `fairlead:user:${escapeText(user)}`;
}

/** The sessions that a server must look at, by when. */
export function wakeUpKey(owner: string): string {
  return `fairlead:due:${escapeText(owner)}`;
}

export interface IndexMove {
  session: string;
  user: string;
  /** ms since 1970. */
  at: number;
}

/** Moves them a moment after the commits that did, many at once: each by itself was a quarter of what a turn asked of Redis. */
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

  /** Now: for who reads an index next, and at the end. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.size === 0) return;
    const moves = [...this.#pending.values()];
    this.#pending = new Map();
    this.#move(moves);
  }
}

/** Of sessions that are in there: one that was deleted in the meantime does not come back. */
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

/** Places of an index strictly after `from`, last active first; among equals the greater session first, as ZRANGE REV has it. */
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
