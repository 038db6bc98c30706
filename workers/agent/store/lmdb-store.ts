/** The embedded store: the Store interface on LMDB in the data folder. Agent threads; all threads of a process share the folder. */
import type { RootDatabase } from 'lmdb';
import { atMost } from '../../../src/shared/abort.js';
import { quotaError } from '../../../src/shared/quotas.js';
import { Background } from './background.js';
import { isForeign, storeUnavailable, withStoreDeadline, type OperationDeadline } from './deadline.js';
import { contentBytes, decodeBlock, encodeBlock } from './history-codec.js';
import { sealTail, wantsSeal } from './history-tail.js';
import { findBlock } from './lmdb-history.js';
import { commitExcess, countCommit, hasSessions, LmdbCounters } from './lmdb-quotas.js';
import { LmdbCredentials, type LmdbDoor } from './lmdb-credentials.js';
import { LmdbLedger } from './lmdb-ledger.js';
import { LmdbUsers, noteNames } from './lmdb-users.js';
import { appendEvents } from './lmdb-log.js';
import { definedOf, indexKeys, moveActivity, moveWakeUp, publicRow, remember, removeSession } from './lmdb-rows.js';
import { getSecret, removeSecret, putSecret } from './lmdb-secrets.js';
import { ALL_USERS, keyDigest, keysUnder, openTables, type LmdbTables, type StoredRow } from './lmdb-tables.js';
import { NO_COUNTING } from './quota-counters.js';
import { checkCommit, conflict, placeFromCursor, placeToCursor, type ListPlace } from './row-codec.js';
import type {
  BlockPlace,
  Commit,
  CommitResult,
  FoundBlock,
  ReadEvents,
  Secret,
  SessionPage,
  SessionRow,
  Store,
  StoreOptions,
  TranscriptMessage,
  WriteSecret,
} from './store.js';

const MAX_SEALING = 16;

/** ERR_START when the folder cannot be used. */
export async function openLmdbStore(dir: string, options: StoreOptions): Promise<Store> {
  // To open tables takes LMDB's lock for writes, and blocks this thread until a write that runs has called back on it.
  await atMost(WRITES_MS, Promise.allSettled([...openHere].map(({ committed }) => committed)));
  const tables = openTables(dir);
  openHere.add(tables.root);
  return new LmdbStore(tables, options);
}

/** A write may wait for a lock that another process holds. */
const WRITES_MS = 1_000;
/** Of this thread. A thread of a server has one; tests have several. */
const openHere = new Set<RootDatabase>();

class LmdbStore implements Store {
  readonly kind = 'lmdb';
  readonly #door: LmdbDoor = {
    read: (operation, work) => this.#read(operation, work),
    write: (operation, work) => this.#write(operation, work),
  };
  readonly counters: LmdbCounters;
  readonly credentials = new LmdbCredentials(this.#door);
  readonly ledger: LmdbLedger;
  readonly users = new LmdbUsers(this.#door);
  readonly #tables: LmdbTables;
  readonly #options: StoreOptions;
  readonly #background: Background;
  #closing: Promise<void> | undefined;

  constructor(tables: LmdbTables, options: StoreOptions) {
    this.#tables = tables;
    this.#options = options;
    this.#background = new Background(options.onError);
    this.counters = new LmdbCounters(
      (operation, work) => this.#write(operation, work),
      (operation, work) => this.#read(operation, work),
    );
    this.ledger = new LmdbLedger(this.#door, options.now);
  }

  async ping(): Promise<void> {
    await this.#read('ping', ({ rows }) => rows.doesExist(''));
  }

  async createSession(row: SessionRow, maxSessions = 0): Promise<void> {
    await this.#write('createSession', (tables) => {
      const { rows, index } = tables;
      if (rows.doesExist(row.session)) throw conflict(row.session, 'exists already');
      if (maxSessions > 0 && hasSessions(tables, row.user, maxSessions)) {
        throw quotaError({ limit: 'maxSessions', max: maxSessions, used: maxSessions });
      }
      void rows.put(row.session, {
        ...row,
        generation: 0,
        nextBlock: 0,
        tailStart: 0,
        tailBytes: 0,
        ids: 0,
        logBytes: 0,
      });
      for (const key of indexKeys(row)) void index.put(key, 0);
      noteNames(tables, [row.user]);
    });
  }

  readSession(session: string): Promise<SessionRow | undefined> {
    return this.#read('readSession', ({ rows }) => {
      const row = rows.get(session);
      return row === undefined ? undefined : publicRow(row);
    });
  }

  takeOver(session: string): Promise<SessionRow | undefined> {
    return this.#write('takeOver', (tables) => {
      const row = tables.rows.get(session);
      if (row === undefined) return undefined;
      const takenOver = { ...row, owner: this.#options.owner };
      if (row.owner !== takenOver.owner) {
        moveWakeUp(tables, row, takenOver);
        void tables.rows.put(session, takenOver);
      }
      return publicRow(takenOver);
    });
  }

  readSeqs(sessions: readonly string[]): Promise<number[]> {
    return this.#read('readSeqs', ({ rows }) => sessions.map((session) => rows.get(session)?.seq ?? 0));
  }

  sessionsToWake(before: number): Promise<string[]> {
    const key = keyDigest(this.#options.owner);
    return this.#read('sessionsToWake', ({ wakeUps }) => {
      const keys = wakeUps.getKeys({ start: [key], end: before === Infinity ? [key, ''] : [key, before] });
      return Array.from(keys, ([, , session]) => session);
    });
  }

  /** The step that deletes a session or moves it to another server also drops its wake-up; what is left is a session of ours. */
  async dropWakeUp(session: string): Promise<void> {
    await this.#write('dropWakeUp', (tables) => {
      const row = tables.rows.get(session);
      if (row?.due === undefined || row.owner !== this.#options.owner) return;
      const { due: _due, ...rest } = row;
      moveWakeUp(tables, row, rest);
      void tables.rows.put(session, rest);
    });
  }

  async listSessions(user: string | undefined, page: { limit: number; cursor?: string }): Promise<SessionPage> {
    const from = page.cursor === undefined ? undefined : placeFromCursor(page.cursor);
    return this.#read('listSessions', ({ rows, index }) => {
      const key = user === undefined ? ALL_USERS : keyDigest(user);
      const start = from === undefined ? [key, Number.MAX_SAFE_INTEGER] : [key, from.at, from.session];
      const places: ListPlace[] = [];
      // One extra place tells whether there is a next page; another stands for the cursor's own place, which may be deleted.
      for (const [, at, session] of index.getKeys({ start, end: [key], reverse: true, limit: page.limit + 2 })) {
        if (from === undefined || at !== from.at || session !== from.session) places.push({ at, session });
      }
      const shown = places.slice(0, page.limit);
      const sessions = shown.map(({ session }) => rows.get(session)).filter((row) => row !== undefined);
      const last = shown.at(-1);
      return {
        sessions: sessions.map(publicRow),
        ...(places.length > page.limit && last !== undefined ? { next: placeToCursor(last) } : {}),
      };
    });
  }

  async touchSession(session: string, at: number): Promise<void> {
    await this.#write('touchSession', (tables) => {
      const row = tables.rows.get(session);
      if (row === undefined) return;
      moveActivity(tables, row, at);
      void tables.rows.put(session, { ...row, lastActiveAt: at });
    });
  }

  async deleteSession(session: string): Promise<void> {
    await this.#write('deleteSession', (tables) => {
      const row = tables.rows.get(session);
      if (row !== undefined) removeSession(tables, row);
    });
  }

  deleteExpired(session: string, before: number, openBefore = 0): Promise<boolean> {
    return this.#write('deleteExpired', (tables) => {
      const row = tables.rows.get(session);
      if (row === undefined) return true;
      if (row.lastActiveAt >= (row.openTurns.length > 0 ? openBefore : before)) return false;
      removeSession(tables, row);
      return true;
    });
  }

  expiredSessions(before: number, limit: number): Promise<string[]> {
    return this.#read('expiredSessions', ({ index }) => {
      const keys = index.getKeys({ start: [ALL_USERS], end: [ALL_USERS, before], limit });
      return Array.from(keys, ([, , session]) => session);
    });
  }

  async commit(session: string, commit: Commit): Promise<CommitResult> {
    checkCommit(session, commit);
    const block = commit.messages && commit.messages.length > 0 ? encodeBlock(commit.messages) : undefined;
    const idDigest = commit.accept === undefined ? undefined : keyDigest(commit.accept.id);
    const outcome = await this.#write('commit', (tables) => {
      const row = tables.rows.get(session);
      if (row === undefined) throw conflict(session, 'does not exist');
      const { limits, owner, counting = NO_COUNTING } = this.#options;
      if (row.owner !== owner) throw conflict(session, 'belongs to another server');
      const duplicateOf = idDigest === undefined ? undefined : tables.ids.get([session, 0, idDigest]);
      if (duplicateOf !== undefined) return { duplicateOf };
      const first = commit.events[0];
      if (first !== undefined && first.seq !== row.seq + 1) throw conflict(session, `has seq ${row.seq} already`);
      const over = commitExcess(tables, row, commit, counting);
      if (over) return { over };
      const next: StoredRow = { ...row, ...definedOf(commit.row), seq: row.seq + commit.events.length };
      next.logBytes = appendEvents(tables, row, commit.events, limits);
      if (commit.wakeAt !== undefined) {
        delete next.due;
        if (commit.wakeAt !== null) next.due = Math.min(commit.wakeAt, Number.MAX_VALUE);
        moveWakeUp(tables, row, next);
      }
      if (commit.accept !== undefined && idDigest !== undefined) {
        remember(tables, next, idDigest, commit.accept.turn, limits.maxMessageIds);
      }
      if (commit.clearHistory) {
        for (const key of Array.from(tables.history.getKeys(keysUnder(session)))) void tables.history.remove(key);
        next.tailStart = next.nextBlock;
        next.tailBytes = 0;
        next.generation += 1;
      }
      if (block !== undefined) {
        void tables.history.put([session, next.nextBlock], block);
        next.nextBlock += 1;
        next.tailBytes += contentBytes(block);
      }
      if (next.lastActiveAt !== row.lastActiveAt) moveActivity(tables, row, next.lastActiveAt);
      countCommit(tables, next, commit, counting);
      void tables.rows.put(session, next);
      return { tailBytes: next.tailBytes };
    });
    if ('over' in outcome) return { ok: false, over: outcome.over };
    if ('duplicateOf' in outcome) return { ok: false, duplicateOf: outcome.duplicateOf };
    if (wantsSeal(outcome.tailBytes)) {
      this.#background.startOnce('seal', session, MAX_SEALING, () => this.#seal(session));
    }
    return { ok: true };
  }

  readHistory(session: string): Promise<TranscriptMessage[]> {
    return this.#read('readHistory', ({ history }) => {
      const blocks = Array.from(history.getRange(keysUnder(session)), ({ value }) => value);
      return blocks.flatMap(decodeBlock);
    });
  }

  readHistoryBlock(session: string, place: BlockPlace): Promise<FoundBlock> {
    return this.#read('readHistoryBlock', (tables) => findBlock(tables, session, place));
  }

  readEvents(session: string, after: number, limit: number): Promise<ReadEvents> {
    return this.#read('readEvents', ({ events }) => {
      const range = { ...keysUnder(session), start: [session, after + 1], limit };
      const [oldest] = events.getKeys({ ...keysUnder(session), limit: 1 });
      return {
        events: Array.from(events.getRange(range), ({ key, value }) => ({ seq: key[1], json: value })),
        oldest: oldest?.[1] ?? 0,
      };
    });
  }

  readSecret(key: string): Promise<Secret | undefined> {
    return this.#read('readSecret', (tables) => getSecret(tables, key));
  }

  writeSecret(key: string, bytes: Uint8Array, options: WriteSecret = {}): Promise<number | undefined> {
    return this.#write('writeSecret', (tables) => putSecret(tables, key, bytes, options));
  }

  async deleteSecret(key: string): Promise<void> {
    await this.#write('deleteSecret', (tables) => removeSecret(tables, key));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { root } = this.#tables;
    await this.#background.settle();
    openHere.delete(root);
    await root.close();
  }

  /** Blocks that are appended meanwhile stay where they are; a clear meanwhile makes it give up. */
  async #seal(session: string): Promise<void> {
    const before = await this.#read('readTail', ({ rows, history }) => {
      const row = rows.get(session);
      if (row === undefined) return undefined;
      const { generation, nextBlock, tailStart, tailBytes } = row;
      const range = { ...keysUnder(session), start: [session, tailStart] };
      const blocks = Array.from(history.getRange(range), ({ value }) => value);
      return { generation, nextBlock, tailStart, tailBytes, blocks };
    });
    if (before === undefined || before.blocks.length === 0) return;
    const { blocks, tail } = sealTail(before.blocks);
    await this.#write('seal', ({ rows, history }) => {
      const row = rows.get(session);
      if (row === undefined || row.generation !== before.generation) return;
      const { tailStart } = before;
      for (const [i, block] of blocks.entries()) void history.put([session, tailStart + i], block);
      for (let n = tailStart + blocks.length; n < before.nextBlock; n++) void history.remove([session, n]);
      void rows.put(session, {
        ...row,
        generation: row.generation + 1,
        tailStart: tailStart + blocks.length - tail.blocks,
        tailBytes: row.tailBytes - before.tailBytes + tail.bytes,
      });
    });
  }

  /**
   * LMDB reads from memory, synchronously. The read transaction is reset first: otherwise the read sees the snapshot from the
   * start of this turn of the event loop.
   */
  #read<T>(operation: string, work: (tables: LmdbTables) => T): Promise<T> {
    return this.#call(operation, async () => {
      this.#tables.root.resetReadTxn();
      return work(this.#tables);
    });
  }

  /**
   * LMDB waits for the lock and flushes on a thread of its own; only `work` runs here. It runs in a child transaction, so that
   * a `work` that throws is rolled back without the others of its batch.
   */
  #write<T>(operation: string, work: (tables: LmdbTables) => T): Promise<T> {
    return this.#call(operation, async ({ signal }) => {
      try {
        return await this.#tables.root.childTransaction(() => {
          if (signal.aborted) throw storeUnavailable('the embedded store started the write only after its deadline');
          return work(this.#tables);
        });
      } catch (error) {
        throw await reasonOf(error);
      }
    });
  }

  async #call<T>(operation: string, work: (deadline: OperationDeadline) => Promise<T>): Promise<T> {
    if (this.#closing !== undefined && operation !== 'readTail' && operation !== 'seal') {
      throw storeUnavailable('the embedded store is closed');
    }
    const started = performance.now();
    try {
      return await withStoreDeadline(this.#options.limits.timeoutMs, 'the embedded store', work);
    } catch (error) {
      if (isForeign(error)) throw storeUnavailable(`the embedded store failed: ${error.message}`, error);
      throw error;
    } finally {
      this.#options.observe?.(operation, (performance.now() - started) / 1000);
    }
  }
}

/** A failed flush (a full disk) rejects with an error that holds a promise of the reason; that promise must be awaited, or its rejection is unhandled. */
async function reasonOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (reason) {
    return reason;
  }
}
