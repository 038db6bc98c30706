/** The store's interface: what a restart must not lose. Redis and LMDB stand behind it. Runs in agent threads. */

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
  /** Tools the person allowed for this session, as `server/tool`. Stored as JSON. */
  allowed: string[];
}

export interface OpenTurn {
  turn: number;
  /** The client's id of its message. */
  id?: string;
  /** The message's content blocks while the turn waits in line; absent once it runs and they are in the history. */
  waiting?: unknown[];
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
  row?: Partial<Pick<SessionRow, 'title' | 'lastActiveAt' | 'turns' | 'openTurns' | 'allowed' | 'model'>>;
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
 * A read sees nothing of a write that is called after it, also when nobody waits in between.
 * Every method rejects with ERR_UNAVAILABLE when the store does not answer within its deadline. A session that does
 * not exist reads as undefined or empty; a commit to one, and a commit whose first seq is taken, rejects with
 * ERR_STORE_CONFLICT and writes nothing.
 */
export interface Store {
  readonly kind: 'redis' | 'lmdb';
  /** Resolves when the store answers. */
  ping(): Promise<void>;
  createSession(row: SessionRow): Promise<void>;
  readSession(session: string): Promise<SessionRow | undefined>;
  /** The user's sessions, last active first. `limit` 1…100. */
  listSessions(user: string, page: { limit: number; cursor?: string }): Promise<SessionPage>;
  /** Moves the session in the activity indexes; a session that is gone stays gone. */
  touchSession(session: string, at: number): Promise<void>;
  /** Row, history, log, ids, index entries: all of it. Deleting twice is fine. */
  deleteSession(session: string): Promise<void>;
  /** Sessions last active before `before` (ms), oldest first, by index: O(log N + limit). */
  expiredSessions(before: number, limit: number): Promise<string[]>;
  commit(session: string, commit: Commit): Promise<CommitResult>;
  readHistory(session: string): Promise<TranscriptMessage[]>;
  /** Events with seq > after, oldest first, at most `limit`. */
  readEvents(session: string, after: number, limit: number): Promise<ReadEvents>;
  /** Flushes what is under way. Idempotent. */
  close(): Promise<void>;
}

export interface StoreLimits {
  /** Event log bounds, per session. */
  maxEvents: number;
  maxAgeMs: number;
  /** How many message ids are remembered per session. */
  maxMessageIds: number;
  /** Deadline of one command, ms. */
  timeoutMs: number;
}

export interface StoreOptions {
  limits: StoreLimits;
  /** Called with the seconds each operation took. */
  observe?: (operation: string, seconds: number) => void;
  /** Called when work that no caller waits for fails (sealing, indexes, the connection); the store carries on by itself. */
  onError?: (operation: string, error: unknown) => void;
}
