/** The store in Redis: a hash, a list, a stream and a set for each session, indexes beside them. Runs in agent threads. */
import { Background } from './background.js';
import { contentBytes, decodeBlock, encodeBlock } from './history-codec.js';
import { sealTail, wantsSeal } from './history-tail.js';
import { RedisLink, type RedisCall } from './redis-link.js';
import { COMMIT, CREATE, EVENTS, SEAL, TAIL, TOUCH } from './redis-scripts.js';
import {
  checkCommit,
  conflict,
  escapeText,
  placeFromCursor,
  placeToCursor,
  ROW_FIELDS,
  rowFromValues,
  rowToFields,
  unescapeText,
  type Place,
} from './row-codec.js';
import type {
  Commit,
  CommitResult,
  ReadEvents,
  SessionPage,
  SessionRow,
  Store,
  StoreOptions,
  TranscriptMessage,
} from './store.js';

/** All sessions by last activity; outside the sessions' hash slots, as are the users' own. */
const ALL = 'fairlead:sessions';
/** An index entry this old whose row is missing is no session in the making. */
const ORPHAN_MS = 60_000;
const MAX_SEALING = 16;
/** Pages of stale index entries that one look for expired sessions repairs at most. */
const MAX_REPAIRS = 10;

/** Everything in one hash slot. */
function keysOf(session: string) {
  const prefix = `fairlead:{${session}}:`;
  return { row: `${prefix}row`, history: `${prefix}history`, events: `${prefix}events`, ids: `${prefix}ids` };
}

function userKey(user: string): string {
  return `fairlead:user:${escapeText(user)}`;
}

/** ERR_START when it cannot be reached or used; the message names the URL without its password. */
export async function openRedisStore(url: string, options: StoreOptions): Promise<Store> {
  return new RedisStore(await RedisLink.open(url, options), options);
}

class RedisStore implements Store {
  readonly kind = 'redis';
  readonly #link: RedisLink;
  readonly #options: StoreOptions;
  readonly #background: Background;

  constructor(link: RedisLink, options: StoreOptions) {
    this.#link = link;
    this.#options = options;
    this.#background = new Background(options.onError);
  }

  async ping(): Promise<void> {
    await this.#link.call('ping', (call) => call.send(['PING']));
  }

  async createSession(row: SessionRow): Promise<void> {
    const { session, user, lastActiveAt } = row;
    await this.#link.call('createSession', async (call) => {
      // The indexes go first: should we die in between, the janitor finds an entry without a row, never a row without an entry.
      const [, , [outcome]] = await Promise.all([
        call.send(['ZADD', ALL, 'NX', String(lastActiveAt), session]),
        call.send(['ZADD', userKey(user), 'NX', String(lastActiveAt), session]),
        call.write<[string, number]>(CREATE, [keysOf(session).row], rowToFields(row)),
      ]);
      if (outcome !== 'ok') throw conflict(session, 'is there already');
    });
  }

  readSession(session: string): Promise<SessionRow | undefined> {
    return this.#link.call('readSession', (call) => readRow(call, session));
  }

  async listSessions(user: string, page: { limit: number; cursor?: string }): Promise<SessionPage> {
    const from = page.cursor === undefined ? undefined : placeFromCursor(page.cursor);
    return this.#link.call('listSessions', async (call) => {
      // One more than asked for says whether there is a next page.
      const places = await placesAfter(call, userKey(user), from, page.limit + 1);
      const shown = places.slice(0, page.limit);
      const rows = await Promise.all(shown.map(({ session }) => readRow(call, session)));
      const orphans = shown.filter(({ at }, index) => rows[index]?.user !== user && at < Date.now() - ORPHAN_MS);
      if (orphans.length > 0) await call.send(['ZREM', userKey(user), ...orphans.map(({ session }) => session)]);
      const sessions = rows.filter((row) => row !== undefined).filter((row) => row.user === user);
      const last = shown.at(-1);
      return places.length > page.limit && last !== undefined ? { sessions, next: placeToCursor(last) } : { sessions };
    });
  }

  async touchSession(session: string, at: number): Promise<void> {
    await this.#link.call('touchSession', async (call) => {
      const [, , user] = await call.write<[string, number, string?]>(TOUCH, [keysOf(session).row], [String(at)]);
      if (user !== undefined) await moveInIndexes(call, session, unescapeText(user), at);
    });
  }

  async deleteSession(session: string): Promise<void> {
    const { row, history, events, ids } = keysOf(session);
    await this.#link.call('deleteSession', async (call) => {
      // The entry that the janitor goes by is last: should we die in between, it finds the rest.
      const user = await call.send<string | null>(['HGET', row, 'user']);
      await Promise.all([
        ...(user === null ? [] : [call.send(['ZREM', userKey(unescapeText(user)), session])]),
        call.send(['UNLINK', history, events, ids, row]),
        call.send(['ZREM', ALL, session]),
      ]);
    });
  }

  expiredSessions(before: number, limit: number): Promise<string[]> {
    return this.#link.call('expiredSessions', async (call) => {
      for (let repairs = 0; repairs < MAX_REPAIRS; repairs++) {
        const range = [ALL, '-inf', `(${before}`, 'BYSCORE', 'LIMIT', '0', String(limit)];
        const found = await call.send<string[]>(['ZRANGE', ...range]);
        const rows = await Promise.all(found.map((session) => readActivity(call, session)));
        // The row is the truth; an index that a crash left behind it is moved, not believed.
        const active = rows.filter((row) => row.at >= before);
        await Promise.all(active.map(({ session, user, at }) => moveInIndexes(call, session, user, at)));
        const expired = rows.filter((row) => row.at < before).map(({ session }) => session);
        if (expired.length > 0 || found.length < limit) return expired;
      }
      return [];
    });
  }

  async commit(session: string, commit: Commit): Promise<CommitResult> {
    checkCommit(session, commit);
    const { row, history, events, ids } = keysOf(session);
    const block = commit.messages && commit.messages.length > 0 ? encodeBlock(commit.messages) : undefined;
    const fields = rowToFields(commit.row ?? {});
    const { maxEvents, maxAgeMs, maxMessageIds } = this.#options.limits;
    const args = [
      ...[maxEvents, maxAgeMs, maxMessageIds].map(String),
      commit.clearHistory ? '1' : '0',
      ...(block === undefined ? ['', '0'] : [block, String(contentBytes(block))]),
      ...(commit.accept === undefined ? ['', ''] : [commit.accept.id, String(commit.accept.turn)]),
      String(fields.length),
      ...fields,
      ...commit.events.flatMap((event) => [String(event.seq), event.json]),
    ];
    return this.#link.call('commit', async (call) => {
      type Reply = ['ok', number, string, number] | ['duplicate', number, number] | ['conflict', number, string];
      const reply = await call.write<Reply>(COMMIT, [row, history, events, ids], args);
      if (reply[0] === 'duplicate') return { ok: false, duplicateOf: reply[2] };
      if (reply[0] === 'conflict') throw conflict(session, reply[2]);
      const [, , user, tailBytes] = reply;
      this.#afterCommit(session, unescapeText(user), commit.row?.lastActiveAt);
      if (wantsSeal(tailBytes)) {
        this.#background.startOnce('seal', session, MAX_SEALING, () => this.#seal(session));
      }
      return { ok: true };
    });
  }

  async readHistory(session: string): Promise<TranscriptMessage[]> {
    const blocks = await this.#link.call('readHistory', (call) =>
      call.sendBinary<Buffer[]>(['LRANGE', keysOf(session).history, '0', '-1']),
    );
    return blocks.flatMap(decodeBlock);
  }

  readEvents(session: string, after: number, limit: number): Promise<ReadEvents> {
    const { row, events } = keysOf(session);
    return this.#link.call('readEvents', async (call) => {
      type Reply = [seq: number, length: number, entries: [id: string, fields: [string, string, string, string]][]];
      const [seq, length, entries] = await call.run<Reply>(EVENTS, [row, events], [String(after), String(limit)]);
      return {
        events: entries.map(([id, fields]) => ({ seq: Number.parseInt(id, 10), json: fields[3] })),
        oldest: length === 0 ? 0 : seq - length + 1,
      };
    });
  }

  async close(): Promise<void> {
    await this.#background.settle();
    await this.#link.close();
  }

  /**
   * The indexes lie in other slots, so they cannot be in the script. They are sent in the moment of the commit's answer and
   * not waited for: whatever the caller asks next comes after them on the same connection, and one that is lost in a crash
   * is repaired by expiredSessions.
   */
  #afterCommit(session: string, user: string, at: number | undefined): void {
    if (at === undefined) return;
    this.#background.watch(
      'index',
      this.#link.call('index', (call) => moveInIndexes(call, session, user, at)),
    );
  }

  /** What is appended in between stays where it is; a clear in between makes it give up. */
  async #seal(session: string): Promise<void> {
    const { row, history } = keysOf(session);
    await this.#link.call('seal', async (call) => {
      type Found = [generation: number, length: number, bytes: number, ...blocks: Buffer[]];
      const [generation, length, bytes, ...blocks] = await call.runBinary<Found>(TAIL, [row, history], []);
      if (blocks.length === 0) return;
      const { blocks: sealed, tail } = sealTail(blocks);
      const numbers = [generation, length, bytes, blocks.length, tail.blocks, tail.bytes].map(String);
      await call.write(SEAL, [row, history], [...numbers, ...sealed]);
    });
  }
}

async function readRow(call: RedisCall, session: string): Promise<SessionRow | undefined> {
  return rowFromValues(await call.send<(string | null)[]>(['HMGET', keysOf(session).row, ...ROW_FIELDS]));
}

/** An index entry without a row reads as never active: it goes the way of the expired. */
async function readActivity(call: RedisCall, session: string): Promise<Place & { user: string }> {
  type Reply = [at: string | null, user: string | null];
  const [at, user] = await call.send<Reply>(['HMGET', keysOf(session).row, 'lastActiveAt', 'user']);
  return { session, at: Number(at ?? 0), user: unescapeText(user ?? '') };
}

/** XX: a session that was deleted in the meantime does not come back. */
async function moveInIndexes(call: RedisCall, session: string, user: string, at: number): Promise<void> {
  await Promise.all([
    call.send(['ZADD', ALL, 'XX', String(at), session]),
    call.send(['ZADD', userKey(user), 'XX', String(at), session]),
  ]);
}

/** Places of an index strictly after `from`, last active first; among equals the greater session first, as ZRANGE REV has it. */
async function placesAfter(call: RedisCall, key: string, from: Place | undefined, count: number): Promise<Place[]> {
  const places: Place[] = [];
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
