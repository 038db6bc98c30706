/** The store in Redis: a hash, a list, a stream and a sorted set per session, and indexes beside them. Agent threads. */
import { randomUUID } from 'node:crypto';
import { quotaError, type QuotaExcess } from '../../../src/shared/quotas.js';
import { Background } from './background.js';
import { contentBytes, decodeBlock, encodeBlock } from './history-codec.js';
import { sealTail, wantsSeal } from './history-tail.js';
import { ReadOrder } from './read-order.js';
import { checkRights } from './redis-check.js';
import { RedisCredentials } from './redis-credentials.js';
import { IndexMoves, moveInIndexes, SESSIONS_KEY, userKey, wakeUpKey, type IndexChanges } from './redis-indexes.js';
import { findExpired, listFrom } from './redis-finds.js';
import { RedisLedger } from './redis-ledger.js';
import { RedisUsers, USERS_KEY } from './redis-users.js';
import { RedisLink, type RedisCall } from './redis-link.js';
import { countArgs, countFields, countKeys } from './redis-count.js';
import { excessOf, RedisCounters } from './redis-quotas.js';
import { countedKeys, keysOf, readRow, scoreOf } from './redis-rows.js';
import { fetchSecret, secretKey, storeSecret } from './redis-secrets.js';
import { BLOCK, COMMIT, CREATE, DELETE, DELETE_EXPIRED, EVENTS, SEAL, TAIL, TAKE, TOUCH } from './redis-scripts.js';
import { NO_COUNTING } from './quota-counters.js';
import {
  checkCommit,
  conflict,
  escapeText,
  placeFromCursor,
  ROW_FIELDS,
  rowFromValues,
  rowToFields,
  unescapeText,
} from './row-codec.js';
import type {
  BlockPlace,
  Commit,
  CommitResult,
  FoundBlock,
  HistorySize,
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
/** Commands that are sent at once; the client's queue is bounded. */
const MAX_PIPELINED = 1000;

/** ERR_START when Redis cannot be reached or used; the message has the URL without its password. */
export async function openRedisStore(url: string, options: StoreOptions): Promise<Store> {
  return new RedisStore(await RedisLink.open(url, options), options);
}

export class RedisStore implements Store {
  readonly kind = 'redis';
  readonly credentials: RedisCredentials;
  readonly counters: RedisCounters;
  readonly ledger: RedisLedger;
  readonly users: RedisUsers;
  readonly #link: RedisLink;
  readonly #options: StoreOptions;
  readonly #background: Background;
  readonly #reads = new ReadOrder();
  readonly #moves = new IndexMoves((changes) => this.#inBackground('index', (call) => this.#change(call, changes)));
  readonly #owner: string;
  readonly #wakeUps: string;
  /** With a count, the nonce of each commit. */
  readonly #instance = randomUUID();
  #commits = 0;
  #closing: Promise<void> | undefined;

  constructor(link: RedisLink, options: StoreOptions) {
    this.#link = link;
    this.credentials = new RedisCredentials(link);
    this.users = new RedisUsers(link);
    this.ledger = new RedisLedger(link);
    this.#options = options;
    this.#owner = escapeText(options.owner);
    this.#wakeUps = wakeUpKey(options.owner);
    this.#background = new Background(options.onError);
    this.counters = new RedisCounters(link, (session) => keysOf(session).row);
  }

  ping(): Promise<void> {
    return this.#link.call('ping', checkRights);
  }

  async createSession(row: SessionRow, maxSessions = 0): Promise<void> {
    const { session, user, lastActiveAt } = row;
    await this.#link.call('createSession', async (call) => {
      // The index comes first: a crash in between leaves an entry without a row, which the janitor finds, and never the reverse.
      const head = [escapeText(row.owner), row.createdAt, escapeText(user), lastActiveAt, session, maxSessions];
      const [, [outcome]] = await Promise.all([
        call.send(['ZADD', SESSIONS_KEY, 'NX', String(lastActiveAt), session]),
        call.write<[string, number]>(
          CREATE,
          [keysOf(session).row, userKey(user), USERS_KEY],
          [...head.map(String), ...rowToFields(row)],
        ),
      ]);
      if (outcome === 'over') {
        await call.send(['ZREM', SESSIONS_KEY, session]);
        throw quotaError({ limit: 'maxSessions', max: maxSessions, used: maxSessions });
      }
      if (outcome !== 'ok') throw conflict(session, 'exists already');
    });
  }

  readSession(session: string): Promise<SessionRow | undefined> {
    return this.#read('readSession', session, (call) => readRow(call, session));
  }

  async takeOver(session: string): Promise<SessionRow | undefined> {
    this.#reads.write(session);
    this.#moves.keepWakeUp(session);
    return this.#link.call('takeOver', async (call) => {
      type Reply = ['ok', number, owner: string, wakeAt: string, (string | null)[]] | ['gone', number];
      const args = [this.#owner, ...ROW_FIELDS];
      const reply = await call.write<Reply>(TAKE, [keysOf(session).row], args);
      if (reply[0] === 'gone') return undefined;
      const [, , before, wakeAt, values] = reply;
      // The wake-up moves with the session; also where it was ours already, since an earlier try may have ended after the row.
      if (wakeAt !== '') await call.send(['ZADD', this.#wakeUps, wakeAt, session]);
      if (before !== this.#owner) await call.send(['ZREM', wakeUpKey(unescapeText(before)), session]);
      return rowFromValues(values);
    });
  }

  async readSeqs(sessions: readonly string[]): Promise<number[]> {
    const seqs: number[] = [];
    for (let first = 0; first < sessions.length; first += MAX_PIPELINED) {
      const some = sessions.slice(first, first + MAX_PIPELINED);
      const found = await this.#link.call('readSeqs', (call) =>
        Promise.all(some.map((session) => call.send<string | null>(['HGET', keysOf(session).row, 'seq']))),
      );
      for (const seq of found) seqs.push(Number(seq ?? 0));
    }
    return seqs;
  }

  sessionsToWake(before: number): Promise<string[]> {
    this.#moves.flush();
    const end = before === Infinity ? '+inf' : `(${before}`;
    return this.#link.call('sessionsToWake', (call) =>
      call.send<string[]>(['ZRANGE', this.#wakeUps, '-inf', end, 'BYSCORE']),
    );
  }

  async dropWakeUp(session: string): Promise<void> {
    await this.#link.call('dropWakeUp', (call) => call.send(['ZREM', this.#wakeUps, session]));
  }

  async listSessions(user: string | undefined, page: { limit: number; cursor?: string }): Promise<SessionPage> {
    this.#moves.flush();
    const from = page.cursor === undefined ? undefined : placeFromCursor(page.cursor);
    return this.#link.call('listSessions', (call) => listFrom(call, user, { from, limit: page.limit }));
  }

  async touchSession(session: string, at: number): Promise<void> {
    this.#reads.write(session);
    await this.#link.call('touchSession', async (call) => {
      const [, , user] = await call.write<[string, number, string?]>(TOUCH, [keysOf(session).row], [String(at)]);
      if (user !== undefined) await moveInIndexes(call, [{ session, user: unescapeText(user), at }]);
    });
  }

  async deleteSession(session: string): Promise<void> {
    const { row, history, events, ids } = keysOf(session);
    this.#reads.write(session);
    await this.#link.call('deleteSession', async (call) => {
      // The entry that the janitor searches by is removed last: after a crash in between it finds the rest.
      const user = await call.send<string | null>(['HGET', row, 'user']);
      await Promise.all([
        ...(user === null ? [] : [call.send(['ZREM', userKey(unescapeText(user)), session])]),
        call.send(['ZREM', this.#wakeUps, session]),
        call.write(DELETE, [row, history, events, ids, ...countedKeys(user)], [session]),
        call.send(['ZREM', SESSIONS_KEY, session]),
      ]);
    });
  }

  async deleteExpired(session: string, before: number, openBefore = 0): Promise<boolean> {
    const { row, history, events, ids } = keysOf(session);
    this.#reads.write(session);
    let user: string | null = null;
    return this.#link.call('deleteExpired', async (call) => {
      // Read first: a retry after a lost reply finds no row with the user any more.
      user = (await call.send<string | null>(['HGET', row, 'user'])) ?? user;
      type Reply = ['ok', number, user: string, owner: string] | ['gone' | 'kept', number];
      const reply = await call.write<Reply>(
        DELETE_EXPIRED,
        [row, history, events, ids, ...countedKeys(user)],
        [session, String(before), String(openBefore)],
      );
      if (reply[0] === 'kept') return false;
      const wakeUps = new Set([this.#wakeUps, ...(reply[0] === 'ok' ? [wakeUpKey(unescapeText(reply[3]))] : [])]);
      await Promise.all([
        ...(user === null ? [] : [call.send(['ZREM', userKey(unescapeText(user)), session])]),
        ...Array.from(wakeUps, (key) => call.send(['ZREM', key, session])),
        call.send(['ZREM', SESSIONS_KEY, session]),
      ]);
      return true;
    });
  }

  expiredSessions(before: number, limit: number): Promise<string[]> {
    this.#moves.flush();
    return this.#link.call('expiredSessions', (call) => findExpired(call, before, limit));
  }

  async commit(session: string, commit: Commit): Promise<CommitResult> {
    checkCommit(session, commit);
    const { row, history, events, ids } = keysOf(session);
    const block = commit.messages && commit.messages.length > 0 ? encodeBlock(commit.messages) : undefined;
    const counting = this.#options.counting ?? NO_COUNTING;
    const fields = [...rowToFields(commit.row ?? {}), ...countFields(commit, counting)];
    const wakeAt = commit.wakeAt === undefined ? undefined : scoreOf(commit.wakeAt);
    if (wakeAt !== undefined) fields.push('due', wakeAt);
    const { maxEvents, maxBytes, maxAgeMs, maxMessageIds } = this.#options.limits;
    this.#commits += 1;
    const args = [
      this.#owner,
      `${this.#instance}.${this.#commits}`,
      ...[maxEvents, maxBytes, maxAgeMs, maxMessageIds].map(String),
      commit.clearHistory ? '1' : '0',
      ...(block === undefined ? ['', '0'] : [block, String(contentBytes(block))]),
      ...(commit.accept === undefined ? ['', ''] : [commit.accept.id, String(commit.accept.turn)]),
      String(fields.length),
      ...countArgs(session, commit, counting),
      ...fields,
      ...commit.events.flatMap((event) => [String(event.seq), event.json]),
    ];
    const counted = commit.count ? countKeys(commit.count.user) : [];
    this.#reads.write(session);
    if (wakeAt) this.#moves.keepWakeUp(session);
    return this.#link.call('commit', async (call) => {
      type Reply =
        | ['ok', number, string, number, uncounted: number]
        | ['duplicate', number, number, string]
        | ['conflict', number, string, string]
        | ['over', number, QuotaExcess['limit'], string, number, number, number];
      // The wake-up is set first: a crash in between leaves one too many, which finds nothing to do, and never one too few.
      const [, reply] = await Promise.all([
        wakeAt ? call.send(['ZADD', this.#wakeUps, wakeAt, session]) : undefined,
        call.write<Reply>(COMMIT, [row, history, events, ids, ...counted], args),
      ]);
      if (reply[0] !== 'ok') {
        if (wakeAt) this.#putBackWakeUp(session, reply[3]);
        if (reply[0] === 'duplicate') return { ok: false, duplicateOf: reply[2] };
        if (reply[0] === 'over')
          return { ok: false, over: excessOf(reply, commit.count?.accepts?.maxHistoryBytes ?? 0) };
        throw conflict(session, reply[2]);
      }
      const [, , user, tailBytes, uncounted] = reply;
      if (uncounted === 1) this.counters.startCounting(unescapeText(user), this.#background);
      const at = commit.row?.lastActiveAt;
      if (at !== undefined) this.#moves.add({ session, user: unescapeText(user), at });
      if (wakeAt === '') this.#moves.dropWakeUp(session);
      if (wantsSeal(tailBytes)) {
        this.#background.startOnce('seal', session, MAX_SEALING, () => this.#seal(session));
      }
      return { ok: true };
    });
  }

  async readHistory(session: string): Promise<TranscriptMessage[]> {
    const blocks = await this.#read('readHistory', session, (call) =>
      call.sendBinary<Buffer[]>(['LRANGE', keysOf(session).history, '0', '-1']),
    );
    return blocks.flatMap(decodeBlock);
  }

  readHistoryBlock(session: string, place: BlockPlace): Promise<FoundBlock> {
    const { row, history } = keysOf(session);
    return this.#read('readHistoryBlock', session, async (call) => {
      const [from, to] = 'from' in place ? [place.from, -1] : [-1, place.to];
      type Reply = [generation: number, size: Buffer, at: number, block: Buffer];
      const [generation, size, at, block] = await call.readBinary<Reply>(
        BLOCK,
        [row, history],
        [String(from), String(to)],
      );
      return {
        generation,
        ...(size.length > 0 && { history: JSON.parse(size.toString()) as HistorySize }),
        ...(at >= 0 && { at, block }),
      };
    });
  }

  readEvents(session: string, after: number, limit: number): Promise<ReadEvents> {
    const { row, events } = keysOf(session);
    return this.#read('readEvents', session, async (call) => {
      type Reply = [seq: number, length: number, entries: [id: string, fields: [string, string, string, string]][]];
      const [seq, length, entries] = await call.read<Reply>(EVENTS, [row, events], [String(after), String(limit)]);
      return {
        events: entries.map(([id, fields]) => ({ seq: Number.parseInt(id, 10), json: fields[3] })),
        oldest: length === 0 ? 0 : seq - length + 1,
      };
    });
  }

  readSecret(key: string): Promise<Secret | undefined> {
    return this.#link.call('readSecret', (call) => fetchSecret(call, key));
  }

  writeSecret(key: string, bytes: Uint8Array, options: WriteSecret = {}): Promise<number | undefined> {
    const nonce = randomUUID();
    return this.#link.call('writeSecret', (call) => storeSecret(call, { key, bytes, nonce, ...options }));
  }

  async deleteSecret(key: string): Promise<void> {
    await this.#link.call('deleteSecret', (call) => call.send(['UNLINK', secretKey(key)]));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#link.drain();
    this.#moves.flush();
    await this.#background.settle();
    await this.#link.close();
  }

  #read<T>(operation: string, session: string, work: (call: RedisCall) => Promise<T>): Promise<T> {
    return this.#reads.read(session, (overtaken) => this.#link.call(operation, work, { overtaken }));
  }

  /**
   * GT keeps a later move of another thread; a move that a crash loses is repaired by expiredSessions. The wake-ups are in another
   * hash slot than their sessions, so no script can drop them; one that is not dropped finds nothing to do.
   */
  async #change(call: RedisCall, { moves, awake }: IndexChanges): Promise<void> {
    await Promise.all([
      moveInIndexes(call, moves, 'GT'),
      awake.length > 0 ? call.send(['ZREM', this.#wakeUps, ...awake]) : undefined,
    ]);
  }

  /** After a refused commit: what the row says. Nobody waits for it: what the caller asks next follows it on the same connection. */
  #putBackWakeUp(session: string, wakeAt: string): void {
    const command = wakeAt === '' ? ['ZREM', this.#wakeUps, session] : ['ZADD', this.#wakeUps, wakeAt, session];
    this.#inBackground('wake-up', (call) => call.send(command));
  }

  #inBackground(operation: string, work: (call: RedisCall) => Promise<unknown>): void {
    this.#background.watch(operation, this.#link.call(operation, work, { background: true }));
  }

  /** Blocks that are appended meanwhile stay where they are; a clear meanwhile makes it give up. */
  async #seal(session: string): Promise<void> {
    const { row, history } = keysOf(session);
    const seal = async (call: RedisCall): Promise<void> => {
      type Found = [generation: number, length: number, bytes: number, ...blocks: Buffer[]];
      const [generation, length, bytes, ...blocks] = await call.readBinary<Found>(TAIL, [row, history], []);
      if (blocks.length === 0) return;
      const { blocks: sealed, tail } = sealTail(blocks);
      const numbers = [generation, length, bytes, blocks.length, tail.blocks, tail.bytes].map(String);
      await call.write(SEAL, [row, history], [...numbers, ...sealed]);
    };
    await this.#link.call('seal', seal, { background: true });
  }
}
