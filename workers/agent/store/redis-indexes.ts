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

export interface IndexChanges {
  moves: readonly IndexMove[];
  /** Sessions whose wake-up is over. */
  awake: readonly string[];
}

/** Collects the index changes of many commits and sends them together. Sent one by one they were a quarter of a turn's load on Redis. */
export class IndexMoves {
  readonly #send: (changes: IndexChanges) => void;
  #moves = new Map<string, IndexMove>();
  #awake = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (changes: IndexChanges) => void) {
    this.#send = send;
  }

  add(move: IndexMove): void {
    this.#moves.set(move.session, move);
    this.#wait();
  }

  /** Until it is sent, the entry stays: it finds nothing to do. */
  dropWakeUp(session: string): void {
    this.#awake.add(session);
    this.#wait();
  }

  /** Call it before a wake-up is set: one that is dropped must not be dropped after that. */
  keepWakeUp(session: string): void {
    this.#awake.delete(session);
  }

  /** Sends what is pending now: before an index is read, and at close. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#moves.size + this.#awake.size === 0) return;
    const changes = { moves: [...this.#moves.values()], awake: [...this.#awake] };
    this.#moves = new Map();
    this.#awake = new Set();
    this.#send(changes);
  }

  #wait(): void {
    if (this.#moves.size + this.#awake.size >= MAX_PENDING) return this.flush();
    this.#timer ??= setTimeout(() => this.flush(), DELAY_MS);
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
