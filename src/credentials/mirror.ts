/** A copy of the store's table of credentials in the main thread, never older than a poll while the store answers. Main thread. */
import { setTimeout as delay } from 'node:timers/promises';
import type {
  CredentialChanges,
  CredentialEntry,
  CredentialRequests,
  CredentialUse,
  WriteCredentialRequest,
} from '../../workers/agent/contract/credentials.js';
import { backoffMs, type Backoff } from '../shared/backoff.js';
import { errorToData, FairleadError, isFairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Agents } from '../threads/agents.js';

/** A revocation reaches every server within this time, a round trip to the store and the time to close its sockets. */
const POLL_MS = 200;
const REQUEST_TIMEOUT_MS = 3_000;
/** Entries of one request: their parts are checked without holding the main thread for longer than a millisecond or two. */
const PAGE = 100;
/** A store that was away may be another one with the same name: it is read whole then, at most so often. */
const WHOLE_AGAIN_MS = 60_000;
/** Also without a fault, so that whatever was missed is found in the end. */
const WHOLE_ALWAYS_MS = 3_600_000;
/** Failures are told after this, since a store that restarts is back within a second. */
const PATIENCE_MS = 2_000;
const RETRY: Backoff = { firstMs: 100, maxMs: 1_000 };

/** One kind of entry: it keeps what it needs of them. */
export interface View {
  /** What its keys begin with. */
  readonly kind: string;
  /** The entry is new, or has changed. */
  put(name: string, value: string, entry: CredentialEntry): void;
  drop(name: string): void;
  /** After a page of changes. */
  applied?(): void;
}

export interface MirrorOptions {
  agents: Agents;
  views: readonly View[];
  log: Logger;
  /** Why the copy may be old; undefined: it is not. */
  onState: (reason: string | undefined) => void;
  pollMs?: number;
}

export class CredentialMirror {
  readonly #options: MirrorOptions;
  /** The newest change of each entry that the views know. */
  readonly #known = new Map<string, number>();
  readonly #abort = new AbortController();
  #next = 0;
  /** A reading of the whole table: the keys that it has not met yet. Absent: only changes are read. */
  #unmet: Set<string> | undefined;
  #loaded = false;
  #running: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | undefined;
  /** When the table was read last, by the monotonic clock. */
  #readAt = -Infinity;
  #wholeAt = -Infinity;
  /** Changes may have been missed. */
  #suspect = false;
  #told = false;
  /** Another thread is asked after a failure. */
  #turn = 0;

  constructor(options: MirrorOptions) {
    this.#options = options;
  }

  /** The whole table was read once: what it does not hold does not exist. */
  get loaded(): boolean {
    return this.#loaded;
  }

  /** Resolves when the whole table is read; tries until then. Rejects only with the signal's reason. */
  async start(signal: AbortSignal): Promise<void> {
    for (let tries = 1; !this.#loaded; tries++) {
      try {
        await this.refresh();
      } catch (error) {
        signal.throwIfAborted();
        if (tries === 1)
          this.#options.log.warn({ err: errorToData(error).message }, 'tokens cannot be read yet: nobody is let in');
        await delay(backoffMs(tries, RETRY), undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
    void this.#poll();
  }

  close(): void {
    this.#abort.abort();
  }

  /** Resolves when everything that was in the store at this moment is here. Rejects when the store does not answer. */
  refresh(): Promise<void> {
    this.#waiting ??= this.#readAfterThis();
    return this.#waiting;
  }

  /** Callers until it begins share it: it reads what was there when they called. */
  async #readAfterThis(): Promise<void> {
    await this.#running;
    this.#waiting = undefined;
    const reading = this.#read();
    this.#running = reading.catch(() => undefined);
    await reading;
  }

  /** Writes an entry; when it resolves, this server knows it. ERR_QUOTA, ERR_UNAVAILABLE. False: there was one, and `ifAbsent` is set. */
  async write(request: WriteCredentialRequest): Promise<boolean> {
    const { outcome } = await this.#ask('write-credential', request);
    if (outcome === 'full')
      throw new FairleadError('ERR_QUOTA', 'the store has no room for more tokens and blocked users: revoke some');
    await this.refresh();
    return outcome === 'written';
  }

  /** False: there was none. */
  async remove(key: string): Promise<boolean> {
    const { removed } = await this.#ask('remove-credential', { key });
    await this.refresh();
    return removed;
  }

  /** A page of all entries, without a look at this copy: with the newest uses that any server has written down. */
  page(after: number, limit: number): Promise<CredentialChanges> {
    return this.#ask('credential-changes', { after, limit });
  }

  async noteUses(uses: CredentialUse[]): Promise<void> {
    await this.#ask('note-credential-uses', { uses });
  }

  async #poll(): Promise<void> {
    const { signal } = this.#abort;
    for (;;) {
      try {
        await delay(this.#options.pollMs ?? POLL_MS, undefined, { signal });
        await this.refresh();
      } catch (error) {
        if (signal.aborted) return;
        this.#tellFailure(error);
      }
    }
  }

  async #read(): Promise<void> {
    const now = performance.now();
    try {
      if (this.#wantsWhole(now)) this.#beginWhole();
      for (;;) {
        const page = await this.#ask('credential-changes', { after: this.#next, limit: PAGE });
        if (page.lost) this.#beginWhole();
        else this.#apply(page.entries);
        this.#next = page.next;
        if (!page.more) break;
      }
    } catch (error) {
      this.#suspect = true;
      throw error;
    }
    if (this.#unmet) this.#endWhole(now);
    this.#readAt = now;
    if (this.#told) {
      this.#options.log.info('tokens and blocks are read again');
      this.#options.onState(undefined);
    }
    this.#told = false;
    this.#loaded = true;
  }

  #wantsWhole(now: number): boolean {
    if (this.#unmet) return false; // it goes on where a failure has ended it
    const age = now - this.#wholeAt;
    return age > WHOLE_ALWAYS_MS || (this.#suspect && age > WHOLE_AGAIN_MS);
  }

  #beginWhole(): void {
    this.#unmet = new Set(this.#known.keys());
    this.#next = 0;
  }

  /** What a reading of the whole table did not meet is no longer there. */
  #endWhole(now: number): void {
    const gone = this.#unmet ?? [];
    this.#unmet = undefined;
    this.#wholeAt = now;
    this.#suspect = false;
    for (const key of gone) this.#drop(key);
    for (const view of this.#options.views) view.applied?.();
  }

  #apply(entries: readonly CredentialEntry[]): void {
    for (const entry of entries) {
      const { key, value, change } = entry;
      this.#unmet?.delete(key);
      if (value === undefined) {
        this.#drop(key);
        continue;
      }
      if (this.#known.get(key) === change) continue;
      const view = this.#viewOf(key);
      if (!view) continue; // a kind of a newer server
      this.#known.set(key, change);
      view.put(key.slice(view.kind.length), value, entry);
    }
    for (const view of this.#options.views) view.applied?.();
  }

  #drop(key: string): void {
    if (!this.#known.delete(key)) return;
    const view = this.#viewOf(key);
    view?.drop(key.slice(view.kind.length));
  }

  #viewOf(key: string): View | undefined {
    return this.#options.views.find(({ kind }) => key.startsWith(kind));
  }

  #tellFailure(error: unknown): void {
    this.#turn++;
    const seconds = Math.round((performance.now() - this.#readAt) / 1000);
    if (performance.now() - this.#readAt < PATIENCE_MS) return;
    const { message } = errorToData(error);
    if (!this.#told) {
      this.#options.log.warn(
        { err: message },
        'revoked tokens and blocked users cannot be read: those known before stay as they were',
      );
    }
    this.#told = true;
    this.#options.onState(`tokens and blocks are those of ${seconds} s ago, since the store does not answer`);
  }

  /** ERR_UNAVAILABLE when the store does not answer in time: whether it has done it is not known then. */
  async #ask<K extends keyof CredentialRequests>(
    name: K,
    body: CredentialRequests[K]['request'],
  ): Promise<CredentialRequests[K]['result']> {
    const { agents } = this.#options;
    try {
      return await agents.request(`credentials-${this.#turn}`, name, body, { timeoutMs: REQUEST_TIMEOUT_MS });
    } catch (error) {
      if (!isFairleadError(error, 'ERR_CHANNEL_TIMEOUT')) throw error;
      const told = 'the store does not answer: try again in a moment, and look first whether it was done';
      throw new FairleadError('ERR_UNAVAILABLE', told, { cause: error, retryAfterMs: REQUEST_TIMEOUT_MS });
    }
  }
}
