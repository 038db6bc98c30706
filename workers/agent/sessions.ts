/** The sessions of this thread that are in memory: opened from the store on demand, gone when idle. Runs in agent threads. */
import { FairleadError } from '../../src/errors.js';
import { gauge } from '../../src/metrics.js';
import { Session, type SessionDeps } from './session.js';

const RECOVERY_INTERVAL_MS = 1_000;

export class Sessions {
  readonly #deps: SessionDeps;
  readonly #open = new Map<string, Session>();
  /** Single flight: who asks while a session is being read waits for the same read. */
  readonly #opening = new Map<string, Promise<Session>>();
  /** Sessions that lost their store in the middle; read again until the store answers. */
  readonly #lost = new Set<string>();
  #recovery: NodeJS.Timeout | undefined;
  #paused = false;
  #closed = false;

  constructor(deps: Omit<SessionDeps, 'onFailure' | 'onIdle'>) {
    this.#deps = { ...deps, onFailure: (session) => this.#lose(session), onIdle: (session) => this.#evict(session) };
    gauge('fairlead_sessions_in_memory', 'Sessions with something happening', [], (g) => g.set(this.#open.size));
  }

  /** Runs `work` on the session, which stays in memory meanwhile. ERR_NO_SUCH_SESSION: not there, or not the user's. */
  async with<T>(of: { session: string; user: string }, work: (session: Session) => Promise<T> | T): Promise<T> {
    const session = await this.#hold(of.session);
    try {
      if (session.row.user !== of.user) throw noSuchSession();
      return await work(session);
    } finally {
      session.release();
    }
  }

  peek(id: string): Session | undefined {
    return this.#open.get(id);
  }

  /** Every session in memory; for draining. */
  all(): Session[] {
    return [...this.#open.values()];
  }

  /** Sessions that are opened from now on start no turn that waits in line. */
  pauseNew(): void {
    this.#paused = true;
  }

  /** The session is deleted: it leaves memory without a last word. */
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

  /** The session with a hold on it, taken before anything can evict it: two copies of one session would fight over its log. */
  async #hold(id: string): Promise<Session> {
    const opening = this.#opening.get(id);
    if (opening) {
      const session = await opening; // whoever began to read it still has its hold
      session.hold();
      return session;
    }
    const open = this.#open.get(id);
    if (open) {
      open.hold();
      return open;
    }
    const read = this.#read(id).finally(() => this.#opening.delete(id));
    this.#opening.set(id, read);
    return read;
  }

  /** The hold that it is read with is its caller's. */
  async #read(id: string): Promise<Session> {
    const row = await this.#deps.store.readSession(id);
    if (!row) throw noSuchSession();
    const session = new Session(row, this.#deps);
    session.hold();
    if (this.#paused) session.pause();
    this.#open.set(id, session);
    try {
      await session.recover();
    } catch (error) {
      session.release();
      throw error;
    }
    return session;
  }

  #evict(session: Session): void {
    if (this.#open.get(session.id) === session) this.#open.delete(session.id);
  }

  #lose(session: Session): void {
    if (this.#open.get(session.id) !== session) return;
    this.#open.delete(session.id);
    if (this.#closed) return;
    const error = { type: 'error', code: 'ERR_UNAVAILABLE', message: 'the store does not answer; the turn is stopped' };
    this.#deps.parts.outbox.push(session.id, { json: JSON.stringify(error), seq: 0 });
    this.#lost.add(session.id);
    this.#recovery ??= setTimeout(() => void this.#recover(), RECOVERY_INTERVAL_MS);
  }

  /** Reading a lost session ends its turn as interrupted; done one after the other, so that a store that is back is not run over. */
  async #recover(): Promise<void> {
    for (const id of this.#lost) {
      try {
        (await this.#hold(id)).release();
        this.#lost.delete(id);
      } catch (error) {
        if (error instanceof FairleadError && error.code === 'ERR_NO_SUCH_SESSION') this.#lost.delete(id);
        else break; // still away: the rest waits for the next round
      }
    }
    this.#recovery = undefined;
    if (this.#lost.size > 0 && !this.#closed) {
      this.#recovery = setTimeout(() => void this.#recover(), RECOVERY_INTERVAL_MS);
    }
  }
}

export function noSuchSession(): FairleadError {
  return new FairleadError('ERR_NO_SUCH_SESSION', 'no such session');
}
