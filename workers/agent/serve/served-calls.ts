/** The calls of MCP clients that run or wait on this thread, by session. They are bounded, and end with their session. Agent threads. */
import { onAbort } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { ServedCall } from './served-call.js';

/** Limit of calls of one thread, for all users, that wait for their client's next request. */
const MAX_WAITING = 1_000;

export interface CallsOptions {
  /** Limit for one session; more are refused. */
  maxRunning: number;
  /** Limit for one session; the oldest makes room, since its client may never come back. */
  maxWaiting: number;
  waitMs: number;
}

export class ServedCalls {
  readonly #options: CallsOptions;
  /** session → id → call, in the order of their start. */
  readonly #bySession = new Map<string, Map<string, ServedCall>>();
  /** session → user, while the session has calls. */
  readonly #users = new Map<string, string>();
  #size = 0;
  /** Callbacks for when no call is left. */
  readonly #idle = new Set<() => void>();

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  /** A call of this session runs or waits. */
  isActive(session: string): boolean {
    return this.#bySession.has(session);
  }

  /** Starts a call. ERR_TOO_MANY_REQUESTS. */
  open({ session, user }: { session: string; user: string }): ServedCall {
    const { maxRunning, maxWaiting, waitMs } = this.#options;
    const calls = this.#bySession.get(session) ?? new Map<string, ServedCall>();
    const waiting = [...calls.values()].filter((call) => call.waiting);
    if (calls.size - waiting.length >= maxRunning) {
      throw new FairleadError('ERR_TOO_MANY_REQUESTS', `${maxRunning} calls run already`, { retryAfterMs: 1_000 });
    }
    if (waiting.length >= maxWaiting) waiting[0]?.abort();
    else if (this.#size >= MAX_WAITING) this.#makeRoom();
    const call = new ServedCall({ waitMs, onEnd: () => this.#forget(session, call) });
    calls.set(call.id, call);
    this.#bySession.set(session, calls);
    this.#users.set(session, user);
    this.#size++;
    return call;
  }

  /** The call with this id, if it waits for its client. */
  findWaiting(session: string, id: string): ServedCall | undefined {
    const call = this.#bySession.get(session)?.get(id);
    return call?.waiting ? call : undefined;
  }

  /** The session has been deleted, or moves to another server. */
  release(session: string): void {
    for (const call of this.#bySession.get(session)?.values() ?? []) call.abort();
  }

  /** Ends the calls of these users, those too whose client has no request open. */
  stopUsers(users: ReadonlySet<string>): void {
    for (const [session, user] of this.#users) if (users.has(user)) this.release(session);
  }

  /** Aborts waiting calls at once, and running ones when the signal aborts. Resolves when no call is left. */
  async drain(grace: AbortSignal): Promise<void> {
    for (const call of this.#waiting()) call.abort();
    const stopListening = onAbort(grace, () => {
      for (const call of this.#all()) call.abort();
    });
    if (this.#bySession.size > 0) await new Promise<void>((resolve) => this.#idle.add(resolve));
    stopListening();
  }

  #forget(session: string, call: ServedCall): void {
    const calls = this.#bySession.get(session);
    if (calls?.delete(call.id)) this.#size--;
    if (calls?.size === 0) {
      this.#bySession.delete(session);
      this.#users.delete(session);
    }
    if (this.#bySession.size > 0) return;
    for (const resolve of this.#idle) resolve();
    this.#idle.clear();
  }

  #makeRoom(): void {
    const waiting = this.#waiting();
    if (waiting.length >= MAX_WAITING) waiting[0]?.abort();
  }

  #all(): ServedCall[] {
    return [...this.#bySession.values()].flatMap((calls) => [...calls.values()]);
  }

  #waiting(): ServedCall[] {
    return this.#all().filter((call) => call.waiting);
  }
}
