/** The sessions of this thread that are in memory: opened from the store on demand, evicted when idle. Agent threads. */
import { atMost, pending } from '../../../src/shared/abort.js';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import { gauge } from '../../../src/shared/metrics.js';
import { passingFrame } from '../log/frames.js';
import { runningTurn } from '../log/progress.js';
import type { SubmitMessageResult } from '../contract/sessions.js';
import type { KnownSession } from '../log/session-log.js';
import type { SessionRow } from '../store/store.js';
import type { UserMessage } from './accept.js';
import { RecentSessions } from './recent-sessions.js';
import { Session, type SessionDeps } from './session.js';
import { UserQuotas } from './user-quotas.js';

const RECOVERY_INTERVAL_MS = 1_000;
/** What a message meets in a session that another server has written since it was here. */
const STALE = ['ERR_STORE_CONFLICT', 'ERR_HISTORY_FULL'] as const;

export interface SessionsOptions extends Omit<SessionDeps, 'onFailure' | 'onIdle' | 'quotas'> {
  /** This server's name in the rows that it owns. */
  owner: string;
  /**
   * `moved`: the session is on another server, or was until now; subscribers here have missed what happened there.
   * `deleted`: it was deleted by another server.
   */
  onMoved: (session: string, why: 'moved' | 'deleted') => void;
  /** The session was read again after the store had failed: subscribers may have missed events that were written. */
  onReread: (session: string, seq: number) => void;
  /** A blocked user's turns are stopped when their session is opened. Absent: nobody is blocked. */
  isBlocked?: (user: string) => boolean;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #deps: SessionDeps;
  readonly #open = new Map<string, Session>();
  /** Single flight: requests for a session that is being read wait for the same read. */
  readonly #opening = new Map<string, Promise<Session>>();
  /** Sessions that were opened without a read, until their first commit shows that they are as they were. */
  readonly #recalling = new Map<string, Promise<void>>();
  readonly #recent: RecentSessions;
  /** Sessions whose store failed while they were in memory; they are read again until it answers. */
  readonly #lost = new Set<string>();
  #recovery: NodeJS.Timeout | undefined;
  #paused = false;
  #closed = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#deps = {
      ...options,
      quotas: new UserQuotas(options.parts.config),
      onFailure: (session, error) => this.#lose(session, error),
      onIdle: (session) => this.#evict(session),
    };
    this.#recent = new RecentSessions(options.parts.config.agents.recentMb * 1024 * 1024);
    gauge('fairlead_turns_running', 'Turns at work, without those that wait for their user', [], (g) => {
      g.set([...this.#open.values()].filter(({ works }) => works).length);
    });
    gauge('fairlead_sessions_in_memory', 'Sessions with something happening', [], (g) => g.set(this.#open.size));
  }

  /**
   * Runs `work` on the session, which stays in memory meanwhile. A session of another server is taken over.
   * ERR_NO_SUCH_SESSION: it does not exist, or is not the user's.
   */
  async with<T>(of: { session: string; user: string }, work: (session: Session) => Promise<T> | T): Promise<T> {
    const session = await this.#hold(of.session, of.user);
    try {
      if (session.row.user !== of.user) throw noSuchSession();
      return await work(session);
    } finally {
      session.release();
    }
  }

  /**
   * Stores a message. A session that was here lately is not read for it: if another server has written it meanwhile, the store
   * refuses the commit, and only then it is read. ERR_NO_SUCH_SESSION, and the errors of `Session.submit`.
   */
  async submit(of: { session: string; user: string }, message: UserMessage): Promise<SubmitMessageResult> {
    await this.#recalled(of.session);
    const known = this.isActive(of.session) ? undefined : this.#recent.take(of);
    const accepted = known && (await this.#submitTo(known, message));
    return accepted ?? this.with(of, (session) => session.submit(message));
  }

  /** Reads the session's row without opening it or taking it over. ERR_NO_SUCH_SESSION. */
  async read(of: { session: string; user: string }): Promise<SessionRow> {
    await this.#recalled(of.session);
    const row = this.#open.get(of.session)?.row ?? (await this.#deps.store.readSession(of.session));
    if (row?.user !== of.user) throw noSuchSession();
    return row;
  }

  /** Opens the session if it is still this server's, so that it resumes and denies overdue calls. */
  async wake(id: string): Promise<void> {
    await this.#recalled(id);
    const { store, owner } = this.#options;
    const open = this.#open.get(id);
    const row = open?.row ?? (await store.readSession(id));
    if (row?.owner !== owner || row.openTurns.length === 0) return store.dropWakeUp(id);
    await this.with({ session: id, user: row.user }, (session) => session.expire());
  }

  /** Whether the session is in memory or being opened. */
  isActive(id: string): boolean {
    return this.#open.has(id) || this.#opening.has(id);
  }

  /**
   * From now on no queued turn starts. Running turns may go on for `graceMs`, then they are interrupted. Suspended turns stay in
   * the store.
   */
  async drain(graceMs: number): Promise<void> {
    this.#paused = true;
    await atMost(graceMs, Promise.all([...this.#open.values()].map((session) => session.drain())));
    await Promise.all([...this.#open.values()].map((session) => session.close('interrupted')));
  }

  /** From now on no turn starts. Returns the sessions whose turn works; `onRested` is told of each when that has ended. */
  rest(onRested: (session: string) => void): string[] {
    if (!this.#paused) for (const session of this.#open.values()) session.pause();
    this.#paused = true;
    const busy = [...this.#open.values()].filter((session) => session.works);
    for (const session of busy) void this.#tellRested(session, onRested);
    return busy.map(({ id }) => id);
  }

  async #tellRested(session: Session, onRested: (session: string) => void): Promise<void> {
    session.hold();
    try {
      await session.rested();
    } finally {
      session.release();
    }
    if (this.#paused && !this.#closed) onRested(session.id);
  }

  /** Undoes `rest`. */
  wakeAll(): void {
    if (!this.#paused) return;
    this.#paused = false;
    for (const session of this.#open.values()) session.unpause();
  }

  /** Turns that work. */
  get working(): number {
    return [...this.#open.values()].filter((session) => session.works).length;
  }

  /** Stops all turns in the session, in line too, and opens it for that where it is not in memory. */
  async stop(of: { session: string; user: string }): Promise<void> {
    await this.with(of, (session) => session.cancelAll());
  }

  /** Sessions in memory with turns that have not ended, of users of whom `which` is true. While no turn may start, those in line do not count. */
  withTurns(which: (user: string) => boolean): SessionRow[] {
    const counts = (row: SessionRow): boolean =>
      this.#paused ? runningTurn(row) !== undefined : row.openTurns.length > 0;
    return [...this.#open.values()].flatMap(({ row }) => (which(row.user) && counts(row) ? [row] : []));
  }

  /** Drops a deleted session from memory. */
  forget(session: Session): void {
    session.log.fail(noSuchSession());
    if (this.#open.get(session.id) === session) this.#open.delete(session.id);
    this.#lost.delete(session.id);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#recovery);
    this.#lost.clear();
  }

  /** Opens the session and holds it before anything can evict it: two copies of one session would write the same log. */
  async #hold(id: string, user: string): Promise<Session> {
    await this.#recalled(id);
    const opening = this.#opening.get(id);
    if (opening) {
      const session = await opening; // the caller that reads it still holds it
      session.hold();
      return session;
    }
    const open = this.#open.get(id);
    if (open) {
      open.hold();
      return open;
    }
    const read = this.#read(id, user).finally(() => this.#opening.delete(id));
    this.#opening.set(id, read);
    return read;
  }

  /** Undefined: the session is not as it was, so it must be read. */
  async #submitTo(known: KnownSession, message: UserMessage): Promise<SubmitMessageResult | undefined> {
    const session = new Session(known, this.#deps, { takenOver: false, lostStore: false });
    const { promise, resolve } = pending<void>();
    session.hold();
    if (this.#paused) session.pause();
    this.#open.set(session.id, session);
    this.#recalling.set(session.id, promise);
    try {
      return await session.submit(message);
    } catch (error) {
      if (!STALE.some((code) => isFairleadError(error, code))) throw error;
      if (this.#open.get(session.id) === session) this.#open.delete(session.id);
      return undefined;
    } finally {
      this.#recalling.delete(session.id);
      resolve();
      session.release();
    }
  }

  /** Resolves when no commit is under way that has to show whether the session is as it was. */
  async #recalled(id: string): Promise<void> {
    for (let recalling = this.#recalling.get(id); recalling; recalling = this.#recalling.get(id)) await recalling;
  }

  /** Returns the session with one hold, the caller's. */
  async #read(id: string, user: string): Promise<Session> {
    const { store, owner } = this.#options;
    const found = await store.readSession(id);
    if (found?.user !== user) throw noSuchSession();
    const takenOver = found.owner !== owner;
    const row = takenOver ? await store.takeOver(id) : found;
    if (!row) throw noSuchSession();
    if (takenOver) this.#options.onMoved(id, 'moved');
    const session = new Session(this.#recent.refresh(row), this.#deps, { takenOver, lostStore: this.#lost.has(id) });
    session.hold();
    if (this.#paused) session.pause();
    this.#open.set(id, session);
    try {
      if (this.#lost.delete(id)) this.#options.onReread(id, row.seq);
      await (this.#options.isBlocked?.(row.user) ? session.cancelAll() : session.recover());
    } catch (error) {
      session.release();
      throw error;
    }
    return session;
  }

  #evict(session: Session): void {
    if (this.#open.get(session.id) !== session) return;
    this.#open.delete(session.id);
    this.#recent.keep(session.log.known);
  }

  #lose(session: Session, error: unknown): void {
    if (this.#open.get(session.id) !== session) return;
    this.#open.delete(session.id);
    if (this.#closed) return;
    // It was stale: the caller reads it.
    if (this.#recalling.has(session.id) && isFairleadError(error, 'ERR_STORE_CONFLICT')) return;
    if (!isFairleadError(error, 'ERR_STORE_CONFLICT')) {
      const message = 'the store does not answer; the turn is stopped';
      const error = { type: 'error', code: 'ERR_UNAVAILABLE', message, retryAfterMs: RECOVERY_INTERVAL_MS } as const;
      this.#deps.parts.outbox.push(session.id, passingFrame(error));
    }
    this.#lost.add(session.id);
    this.#recovery ??= setTimeout(
      () => void this.#recover(),
      isFairleadError(error, 'ERR_STORE_CONFLICT') ? 0 : RECOVERY_INTERVAL_MS,
    );
  }

  /** Reads lost sessions again, which ends their turns. One by one, so that a store that is back is not overloaded. */
  async #recover(): Promise<void> {
    for (const id of this.#lost) {
      try {
        await this.#reread(id);
      } catch (error) {
        if (!isFairleadError(error, 'ERR_NO_SUCH_SESSION')) break; // the store still fails: the rest waits for the next round
        this.#lost.delete(id);
      }
    }
    this.#recovery = undefined;
    if (this.#lost.size > 0 && !this.#closed) {
      this.#recovery = setTimeout(() => void this.#recover(), RECOVERY_INTERVAL_MS);
    }
  }

  /** A session of another server is not taken back: the refused commit is how this server notices the move. */
  async #reread(id: string): Promise<void> {
    const row = await this.#options.store.readSession(id);
    if (row?.owner === this.#options.owner) return (await this.#hold(id, row.user)).release();
    this.#lost.delete(id);
    this.#options.onMoved(id, row ? 'moved' : 'deleted');
  }
}

export function noSuchSession(): FairleadError {
  return new FairleadError('ERR_NO_SUCH_SESSION', 'no such session');
}
