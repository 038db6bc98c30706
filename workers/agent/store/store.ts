/** The store's interface: it keeps what a restart must not lose, in Redis or LMDB. Types only; agent threads. */
import type { CredentialTable } from './credential-table.js';
import type { Standing } from '../../../src/shared/person.js';
import type { QuotaExcess } from '../../../src/shared/quotas.js';
import type { Ledger } from './ledger.js';
import type { UserNames } from './user-names.js';
import type { PendingApproval, PendingElicitation, Usage } from '../../../src/shared/protocol.js';

import type { CommitCount, Counting, QuotaCounters } from './quota-counters.js';

/** A message of the transcript, in the shape of the Messages API (role, content blocks). */
export interface TranscriptMessage {
  role: 'user' | 'assistant';
  content: unknown[];
}

/** A session's row: apart from its socket, all that an idle session costs. Times are ms since the epoch. */
export interface SessionRow {
  session: string;
  user: string;
  model: string;
  /** The first words of the first message; '' before it. */
  title: string;
  createdAt: number;
  lastActiveAt: number;
  /** The newest durable event; 0 when there is none. */
  seq: number;
  /** Turns started so far; the next turn is `turns + 1`. */
  turns: number;
  /** Turns that were accepted and have not ended, oldest first. After a crash they are resumed from here. Stored as JSON. */
  openTurns: OpenTurn[];
  /** Tools that the user has allowed for this session, as `server/tool#hash of its definition`. Stored as JSON. */
  allowed: string[];
  /** Tools as they were described at the user's last yes to each, as `server/tool#hashes of the parts`. Stored as JSON; absent before the first. */
  seen?: string[];
  /** The server that may write it. */
  owner: string;
  /** The part of the history that the model is sent, as of its last answer; null before it. Stored as JSON. */
  context: ModelContext | null;
  /** Stored as JSON; absent in rows from before it was added. */
  history?: HistorySize;
  /** Losses of files that were told to clients; absent: none. Stored as JSON. */
  losses?: LossNote[];
  /** Parts of the history that the model's API has refused, by hash: they are not sent again. Stored as JSON; absent: none. */
  withheld?: string[];
  /** Key in `images`, chosen when it was made. Absent: the image of its server. */
  image?: string;
  /** As what its user was let in when the newest message was accepted: turns are judged by it, also after a crash. Stored as JSON; absent in rows from before it was added. */
  who?: Standing;
}

export interface HistorySize {
  /** About the JSON of its messages. */
  bytes: number;
  messages: number;
  /** How often it was cleared: a reader of a history that was cleared meanwhile must not go on. */
  clears: number;
}

export interface LossNote {
  id: string;
  /** Key in `mcpServers`. */
  server: string;
  /** For the model. */
  text: string;
  /** A tool result of that server had it. */
  told?: true;
}

export interface ModelContext {
  /** Index of the first message that is sent; earlier ones stay in the history. */
  from: number;
  /** How many messages the history had, that answer included. */
  messages: number;
  /** What the messages from `from` to there cost, as the API counted it. */
  tokens: number;
  /** Messages before this index are sent without the results of calls. Absent: all have theirs. */
  trimmed?: number;
  /** Longer results are sent without their middle. Absent: none was ever too long. */
  resultBytes?: number;
}

export interface OpenTurn {
  turn: number;
  /** The client's id of its message. */
  id?: string;
  /** Of the request or socket that its message came by, at most 128 characters: what the log and its end say of the turn have it. */
  requestId?: string;
  /** The message's content blocks while the turn is queued; absent once the turn runs and the history has them. */
  waiting?: unknown[];
  /** Present once the turn runs: all that is needed to resume it after its last step. */
  progress?: TurnProgress;
}

export interface TurnProgress {
  /** ms since the epoch. */
  startedAt: number;
  /** Model answers so far. */
  rounds: number;
  /** Content blocks in them. */
  blocks: number;
  usage: Usage;
  /** What it has cost so far, see `NANOS`; absent: no price is known. */
  nanos?: number;
  model: string;
  /** How often the turn was resumed after its thread or its server had died. */
  resumed: number;
  /** Calls of the newest answer without a result. */
  calls: OpenCall[];
  /** What MCP servers ask the user during calls. */
  questions?: OpenQuestion[];
}

export interface OpenQuestion extends Omit<PendingElicitation, 'kind'> {
  /** The call that waits for the answer, and the server's key for it. Absent: the question ends with its thread. */
  of?: { callId: string; key: string };
}

/** A started call whose server waits for the user's input. Nothing of it runs; this is all that is needed to go on. */
export interface CallInput {
  /** What the server asks for, by its own keys. */
  requests: Record<string, unknown>;
  /** Answers that are known already, by the same keys. */
  answers: Record<string, unknown>;
  /** The server's own state, returned to it unchanged. */
  state?: string;
  round: number;
}

export interface OpenCall extends Omit<PendingApproval, 'kind' | 'turn' | 'expiresAt'> {
  /** ms since the epoch: the call waits for the user's approval until then. Absent: it has started, and must never start again. */
  expiresAt?: number;
  /** What `remember: 'session'` allows: the tool as it was described when the user was asked. */
  allowKey?: string;
  /** The parts of the definition that the user is shown, while the call waits for approval. */
  shownParts?: string;
  input?: CallInput | undefined;
  /** When it has started, ms since the epoch. Absent before that, and in calls that 0.2.0 has started. */
  startedAt?: number;
}

export interface LoggedEvent {
  seq: number;
  /** The event as JSON, `seq` included, ready to be sent. */
  json: string;
}

/** What one step of a session writes. It is atomic. */
export interface Commit {
  /** Their seqs continue the row's without a gap. */
  events: LoggedEvent[];
  /** Appended to the history as one block. */
  messages?: TranscriptMessage[];
  /** Deletes the history first (`history:cleared`). */
  clearHistory?: boolean;
  /** Changed fields of the row. `seq` comes from the events; `lastActiveAt` also moves the session in the indexes. */
  row?: Partial<
    Pick<
      SessionRow,
      | 'title'
      | 'lastActiveAt'
      | 'turns'
      | 'openTurns'
      | 'allowed'
      | 'seen'
      | 'model'
      | 'context'
      | 'history'
      | 'losses'
      | 'withheld'
      | 'who'
    >
  >;
  /**
   * When the owner must wake the session though no request comes for it, ms since the epoch. Infinity: only at the owner's
   * start. Null: never. Absent: unchanged.
   */
  wakeAt?: number | null;
  /** A client's message id, remembered so that the message is accepted only once. */
  accept?: { id: string; turn: number };
  /** Absent: nothing is counted for the user. */
  count?: CommitCount;
}

export type CommitResult =
  | { ok: true }
  /** This message id was accepted before, as this turn. Nothing was written. */
  | { ok: false; duplicateOf: number }
  /** One of the user's limits is reached. Nothing was written. */
  | { ok: false; over: QuotaExcess };

export interface SessionPage {
  sessions: SessionRow[];
  /** `cursor` of the next page; absent on the last one. */
  next?: string;
}

/** The first block from a place on, or the last one up to a place. */
export type BlockPlace = { from: number } | { to: number };

export interface FoundBlock {
  /** Changes when blocks move: at a clear and at each sealing of the newest ones. */
  generation: number;
  /** The history's size at that moment; absent where it was never kept. */
  history?: HistorySize;
  /** The block and its place; absent where there is none. */
  at?: number;
  block?: Buffer;
}

export interface ReadEvents {
  events: LoggedEvent[];
  /** The oldest seq in the log; 0 when the log is empty. A reader whose `after` is below `oldest - 1` has missed events. */
  oldest: number;
}

/**
 * - **Retries.** While the store is unreachable or cannot serve, an operation is tried again until its deadline
 *   (`StoreLimits.timeoutMs`), then it rejects with ERR_UNAVAILABLE. Retries are idempotent: a commit whose reply was lost is
 *   recognised by its nonce.
 * - **Order.** Commits of one session must be called one after the other: of two at once the second may land first when the
 *   first is retried. A read never sees a write to the same session that was called after it, even if nobody awaits the read.
 *   A retry would break that, so such a read rejects with ERR_UNAVAILABLE before its deadline.
 * - **Conflicts.** A commit rejects with ERR_STORE_CONFLICT and writes nothing when the session does not exist, belongs to
 *   another server, or has the first seq already. Reads of a session that does not exist return undefined or nothing.
 */
export interface Store {
  readonly kind: 'redis' | 'lmdb';
  /** Shared by all servers of this store. */
  readonly credentials: CredentialTable;
  readonly counters: QuotaCounters;
  /** Budgets, and use by day. */
  readonly ledger: Ledger;
  readonly users: UserNames;
  /** Resolves when the store answers. */
  ping(): Promise<void>;
  /** ERR_STORE_CONFLICT when another session (by owner, user or time) has this id; ERR_QUOTA when the user has `maxSessions` (0: no limit). */
  createSession(row: SessionRow, maxSessions?: number): Promise<void>;
  readSession(session: string): Promise<SessionRow | undefined>;
  /**
   * Makes this server the owner, so that the next commit of the previous one is refused. The session's wake-up moves with it.
   * Resolves with the row as of that moment.
   */
  takeOver(session: string): Promise<SessionRow | undefined>;
  /** The newest seq of each session, in their order; 0: no such session. */
  readSeqs(sessions: readonly string[]): Promise<number[]>;
  /** Sessions of this owner with `wakeAt` below `before`, soonest first; `Infinity`: all that have one. */
  sessionsToWake(before: number): Promise<string[]>;
  /** Removes the wake-up of a session that is deleted or with another server. */
  dropWakeUp(session: string): Promise<void>;
  /** The user's sessions, or with undefined everybody's; last active first. `limit` 1…100. */
  listSessions(user: string | undefined, page: { limit: number; cursor?: string }): Promise<SessionPage>;
  /** Sets `lastActiveAt`, in the indexes too. Does not bring back a deleted session. */
  touchSession(session: string, at: number): Promise<void>;
  /** Deletes row, history, log, message ids and index entries. Idempotent. */
  deleteSession(session: string): Promise<void>;
  /**
   * Deletes the session if it was last active before `before` (ms). With an open turn `openBefore` counts instead; without
   * `openBefore` such a session stays. Atomic. True: the session is gone.
   */
  deleteExpired(session: string, before: number, openBefore?: number): Promise<boolean>;
  /** Sessions that were last active before `before` (ms), oldest first, by index: O(log N + limit). */
  expiredSessions(before: number, limit: number): Promise<string[]>;
  commit(session: string, commit: Commit): Promise<CommitResult>;
  readHistory(session: string): Promise<TranscriptMessage[]>;
  /** One block, so that a long history is read without being held. Places have gaps. */
  readHistoryBlock(session: string, place: BlockPlace): Promise<FoundBlock>;
  /** Events with seq > after, oldest first, at most `limit`. */
  readEvents(session: string, after: number, limit: number): Promise<ReadEvents>;
  readSecret(key: string): Promise<Secret | undefined>;
  /**
   * Resolves with the new version. With `ifVersion` (0: no secret exists) it is a compare-and-set: undefined when the version
   * differs, and nothing was written. After `ttlMs` the secret expires.
   */
  writeSecret(key: string, bytes: Uint8Array, options?: WriteSecret): Promise<number | undefined>;
  /** Idempotent. */
  deleteSecret(key: string): Promise<void>;
  /** Waits for operations under way. Idempotent. */
  close(): Promise<void>;
}

/** Encrypted data of a user, independent of sessions. Its key contains the user, as `{user}`. */
export interface Secret {
  bytes: Buffer;
  /** Changes with each write, also if the secret was deleted in between. */
  version: number;
}

export interface WriteSecret {
  ifVersion?: number;
  ttlMs?: number;
}

export interface StoreLimits {
  /** Bounds of a session's event log; the oldest events are dropped first. */
  maxEvents: number;
  /** Of the events' JSON in UTF-8. The newest event stays even if it alone is larger. */
  maxBytes: number;
  maxAgeMs: number;
  /** Message ids that are remembered per session. */
  maxMessageIds: number;
  /** Deadline of one operation, its retries included. */
  timeoutMs: number;
}

export interface StoreOptions {
  limits: StoreLimits;
  /** This server's name, the same after a restart: the owner of the sessions that it creates. */
  owner: string;
  /** Absent: no turns and no bytes of history are counted. */
  counting?: Counting;
  /** The embedded store's clock, ms since the epoch; absent: this machine's. Redis has its own. */
  now?: () => number;
  /** Called with the seconds each operation took. */
  observe?: (operation: string, seconds: number) => void;
  /** Called when work fails that no caller waits for (sealing, indexes, the connection). The store recovers by itself. */
  onError?: (operation: string, error: unknown) => void;
}
