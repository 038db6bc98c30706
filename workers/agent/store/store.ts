/** The store's interface: what a restart must not lose. Redis and LMDB stand behind it. Runs in agent threads. */

import type { PendingApproval, PendingElicitation, Usage } from '../../../src/shared/protocol.js';

/** A message of the transcript, in the shape of the Messages API (role, content blocks); provider-neutral enough to keep. */
export interface TranscriptMessage {
  role: 'user' | 'assistant';
  content: unknown[];
}

/** A session's row: all that an idle session costs beside its socket. Times are ms since the epoch. */
export interface SessionRow {
  session: string;
  user: string;
  model: string;
  /** First words of the first message; '' before it. */
  title: string;
  createdAt: number;
  lastActiveAt: number;
  /** The newest durable event's seq; 0 when there is none. */
  seq: number;
  /** Turns started so far; the next turn is `turns + 1`. */
  turns: number;
  /** Turns accepted and not ended, oldest first: what a crash leaves behind is found here. Stored as JSON. */
  openTurns: OpenTurn[];
  /** Tools the person allowed for this session, as `server/tool#hash of its definition`. Stored as JSON. */
  allowed: string[];
  /** The server that writes it: no other one may. */
  owner: string;
  /** What of the history the model is sent, as of its last answer; null before it. Stored as JSON. */
  context: ModelContext | null;
}

export interface ModelContext {
  /** The first message that is sent; those before it stay in the history. */
  from: number;
  /** How many messages the history had with that answer, and what `from` to there cost, as the API counted it. */
  messages: number;
  tokens: number;
}

export interface OpenTurn {
  turn: number;
  /** The client's id of its message. */
  id?: string;
  /** The message's content blocks while the turn waits in line; absent once it runs and they are in the history. */
  waiting?: unknown[];
  /** Once it runs: all that it needs to go on where its last step left it. */
  progress?: TurnProgress;
}

export interface TurnProgress {
  /** ms since the epoch. */
  startedAt: number;
  /** Model answers so far, and the blocks in them. */
  rounds: number;
  blocks: number;
  usage: Usage;
  model: string;
  /** How often it went on after its thread, or its server, had died. */
  resumed: number;
  /** Calls of the newest answer that have no result yet. */
  calls: OpenCall[];
  /** What servers ask the person in the middle of those that have started. */
  questions?: OpenQuestion[];
}

export interface OpenQuestion extends Omit<PendingElicitation, 'kind'> {
  /** The call that rests until it is answered, and what its server calls the answer. Absent: it ends with its thread. */
  of?: { callId: string; key: string };
}

/** A started call whose server waits for the person: nothing of it runs, and with this it goes on. */
export interface CallInput {
  /** What the server wants, by its own keys, and of that what is known already. */
  requests: Record<string, unknown>;
  answers: Record<string, unknown>;
  /** The server's own, given back as it came. */
  state?: string;
  round: number;
}

export interface OpenCall extends Omit<PendingApproval, 'kind' | 'turn' | 'expiresAt'> {
  /** ms since the epoch: it waits for a person until then. Absent: it has started, and must never start again. */
  expiresAt?: number;
  /** What a yes for the rest of the session says yes to: the tool as it was described when it was asked for. */
  allowKey?: string;
  input?: CallInput | undefined;
}

export interface LoggedEvent {
  seq: number;
  /** The whole event as JSON, `seq` included, ready to be sent. */
  json: string;
}

/** All that one step of a session writes; it lands whole or not at all. */
export interface Commit {
  /** Their seqs follow the row's without a gap. */
  events: LoggedEvent[];
  /** Appended to the history as one block. */
  messages?: TranscriptMessage[];
  /** The history so far is forgotten first (`history:reset`). */
  clearHistory?: boolean;
  /** Changed fields of the row. `seq` is taken from the events; `lastActiveAt` also moves the indexes. */
  row?: Partial<Pick<SessionRow, 'title' | 'lastActiveAt' | 'turns' | 'openTurns' | 'allowed' | 'model' | 'context'>>;
  /**
   * When its owner must look at the session though nobody asks for it, ms since the epoch; Infinity: when it starts;
   * null: never. Absent: as before.
   */
  wakeAt?: number | null;
  /** A client's message id: remembered, so that it is accepted once. */
  accept?: { id: string; turn: number };
}

export type CommitResult =
  | { ok: true }
  /** This message id was accepted before, as this turn; nothing was written. */
  | { ok: false; duplicateOf: number };

export interface SessionPage {
  sessions: SessionRow[];
  /** Pass as `cursor` for the next page; absent on the last. */
  next?: string;
}

export interface ReadEvents {
  events: LoggedEvent[];
  /** The oldest seq that the log still holds; 0 when it is empty. A reader whose `after` is below `oldest - 1` has a gap. */
  oldest: number;
}

/**
 * What is asked of the store is tried again until its deadline when the store is away or cannot serve now, and done once
 * all the same: an answer that was lost on the way is found out. The commits of a session are called one after the other:
 * two at once are carried out in their order, unless the first must be tried again.
 * A read of a session sees nothing of a write to it that is called after it, also when nobody waits in between: where that
 * could not be kept, as the read would have to be tried again, it is ERR_UNAVAILABLE before its deadline.
 * Every method rejects with ERR_UNAVAILABLE when the store does not answer within its deadline. A session that does
 * not exist reads as undefined or empty; a commit to one, to one whose owner is another server, and a commit whose first
 * seq is taken, rejects with ERR_STORE_CONFLICT and writes nothing.
 */
export interface Store {
  readonly kind: 'redis' | 'lmdb';
  /** Resolves when the store answers. */
  ping(): Promise<void>;
  /** ERR_STORE_CONFLICT when another session (by owner, user or time) has its name. */
  createSession(row: SessionRow): Promise<void>;
  readSession(session: string): Promise<SessionRow | undefined>;
  /**
   * Makes this server its owner, so that the earlier one's next commit is refused; its row as of that moment. What it was
   * due for is this owner's from now on.
   */
  takeOver(session: string): Promise<SessionRow | undefined>;
  /** The newest seq of each, in their order; 0 where there is no such session. */
  readSeqs(sessions: readonly string[]): Promise<number[]>;
  /** Sessions of this owner that are due before `before`, soonest first; `Infinity`: all that will ever be. */
  sessionsToWake(before: number): Promise<string[]>;
  /** Takes a session that is gone, or another server's, out of this owner's due ones. */
  dropWakeUp(session: string): Promise<void>;
  /** The user's sessions, last active first. `limit` 1…100. */
  listSessions(user: string, page: { limit: number; cursor?: string }): Promise<SessionPage>;
  /** Moves the session in the activity indexes; a session that is gone stays gone. */
  touchSession(session: string, at: number): Promise<void>;
  /** Row, history, log, ids, index entries: all of it. Deleting twice is fine. */
  deleteSession(session: string): Promise<void>;
  /**
   * Deletes it if it was last active before `before` (ms); with an open turn, before `openBefore`, or never without that.
   * Judged and done in one step.
   */
  deleteExpired(session: string, before: number, openBefore?: number): Promise<boolean>;
  /** Sessions last active before `before` (ms), oldest first, by index: O(log N + limit). */
  expiredSessions(before: number, limit: number): Promise<string[]>;
  commit(session: string, commit: Commit): Promise<CommitResult>;
  readHistory(session: string): Promise<TranscriptMessage[]>;
  /** Events with seq > after, oldest first, at most `limit`. */
  readEvents(session: string, after: number, limit: number): Promise<ReadEvents>;
  readSecret(key: string): Promise<Secret | undefined>;
  /**
   * Resolves with its new version, or with undefined where the one that is there is not `ifVersion` (0: none is there), and
   * nothing was written. With `ttlMs` it is gone by itself after that time.
   */
  writeSecret(key: string, bytes: Uint8Array, options?: WriteSecret): Promise<number | undefined>;
  /** Deleting twice is fine. */
  deleteSecret(key: string): Promise<void>;
  /** Flushes what is under way. Idempotent. */
  close(): Promise<void>;
}

/** What belongs to a user and not to a session, sealed by whoever wrote it. A key has the user in it, as `{user}`. */
export interface Secret {
  bytes: Buffer;
  /** Another one after each write, also when it was deleted in between. */
  version: number;
}

export interface WriteSecret {
  ifVersion?: number;
  ttlMs?: number;
}

export interface StoreLimits {
  /** Event log bounds, per session: the oldest go first. */
  maxEvents: number;
  /** Of the events' JSON as UTF-8; the newest event stays even if it alone is larger. */
  maxBytes: number;
  maxAgeMs: number;
  /** How many message ids are remembered per session. */
  maxMessageIds: number;
  /** OperationDeadline of one command, ms. */
  timeoutMs: number;
}

export interface StoreOptions {
  limits: StoreLimits;
  /** This server's name, the same after a restart: what it writes is its own. */
  owner: string;
  /** Called with the seconds each operation took. */
  observe?: (operation: string, seconds: number) => void;
  /** Called when work that no caller waits for fails (sealing, indexes, the connection); the store carries on by itself. */
  onError?: (operation: string, error: unknown) => void;
}
