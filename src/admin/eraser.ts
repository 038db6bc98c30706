/** Deletes a user with everything that is theirs; goes on after a fault, and after a crash of the server. Main thread. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Actor, Credentials } from '../credentials/credentials.js';
import { atMost } from '../shared/abort.js';
import { audit } from '../shared/audit.js';
import { errorToData, isFairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Agents } from '../threads/agents.js';
import type { AdminDesk } from './desk.js';
import { ERASE_KIND, type Erasure, type Erasures } from './erasures.js';

/** An answer over HTTP is not kept waiting for longer. */
const WAIT_MS = 20_000;
const RETRY_MS = 5_000;
const PAGE = 50;
const AT_ONCE = 4;
const REQUEST_MS = 30_000;
const LOGOUT_MS = 95_000;
/** Other servers store what was used within a second. */
const SETTLE_MS = 2_000;

export interface EraserOptions {
  /** This server's name. */
  instance: string;
  erasures: Erasures;
  credentials: () => Pick<Credentials, 'list' | 'revoke' | 'mirror'>;
  agents: Agents;
  desk: Pick<AdminDesk, 'onSession'>;
  /** The MCP servers that users may have logged in to. */
  servers: () => string[];
  forgetLogin: (of: { user: string; server: string }) => Promise<void>;
  /** Every agent thread forgets what is counted for the user. */
  forgetUser: (user: string) => Promise<void>;
  log: Logger;
  settleMs?: number;
}

export interface Erased {
  /** False: it goes on. */
  deleted: boolean;
  sessions: number;
  tokens: number;
  /** Why it does not get on; it is tried again. */
  problem?: string;
}

interface Job extends Erased {
  by: Actor;
  running: Promise<void>;
}

export class Eraser {
  readonly #options: EraserOptions;
  readonly #jobs = new Map<string, Job>();
  readonly #abort = new AbortController();

  constructor(options: EraserOptions) {
    this.#options = options;
  }

  /** Resolves when it is done, or after a while: then it goes on. Joins what runs already. ERR_UNAVAILABLE: it has not begun. */
  async erase(user: string, by: Actor): Promise<Erased> {
    const job = this.#jobs.get(user) ?? (await this.#begin(user, by));
    await atMost(WAIT_MS, job.running);
    const { deleted, sessions, tokens, problem } = job;
    return { deleted, sessions, tokens, ...(problem !== undefined && !deleted && { problem }) };
  }

  /** Goes on with what this server had begun before it ended. */
  resume(): void {
    for (const [user, { by, server }] of this.#options.erasures.all()) {
      if (server === this.#options.instance) this.#start(user, { user: by, credential: '', address: '' });
    }
  }

  close(): void {
    this.#abort.abort();
  }

  async #begin(user: string, by: Actor): Promise<Job> {
    const { credentials, instance, erasures } = this.#options;
    // One that another server had begun, and may be dead, is taken over: each step may be done twice.
    const since = erasures.get(user)?.since ?? Date.now();
    const entry: Erasure = { since, by: by.user, server: instance };
    await credentials().mirror.write({ key: ERASE_KIND + user, value: JSON.stringify(entry) });
    return this.#start(user, by);
  }

  #start(user: string, by: Actor): Job {
    const known = this.#jobs.get(user);
    if (known) return known;
    const job: Job = { by, deleted: false, sessions: 0, tokens: 0, running: Promise.resolve() };
    this.#jobs.set(user, job);
    job.running = this.#run(user, job).finally(() => this.#jobs.delete(user));
    return job;
  }

  /** Never rejects. */
  async #run(user: string, job: Job): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        await this.#once(user, job);
        job.deleted = true;
        return;
      } catch (error) {
        job.problem = errorToData(error).message;
        log.warn({ user, err: job.problem }, 'the deletion of a user is tried again');
        await delay(RETRY_MS, undefined, { signal }).catch(() => undefined); // the server stops
      }
    }
  }

  /** Each step may have been done before. The entry that keeps the user out goes last. */
  async #once(user: string, job: Job): Promise<void> {
    const { credentials, erasures, forgetUser, settleMs = SETTLE_MS } = this.#options;
    if (!erasures.has(user)) return; // another server was faster
    await this.#revokeTokens(user, job);
    await this.#deleteSessions(user, job);
    await this.#logOut(user);
    await forgetUser(user);
    await delay(settleMs, undefined, { signal: this.#abort.signal });
    await forgetUser(user);
    await credentials().mirror.remove(ERASE_KIND + user);
    const { by, sessions, tokens } = job;
    audit({ what: 'user_deleted', ...by, about: { deleted: user, sessions, tokens } });
  }

  async #revokeTokens(user: string, job: Job): Promise<void> {
    const { credentials } = this.#options;
    for (;;) {
      const { tokens } = await credentials().list(PAGE, 0, user);
      if (tokens.length === 0) return;
      for (const { id } of tokens) if (await credentials().revoke(id, job.by)) job.tokens++;
    }
  }

  async #deleteSessions(user: string, job: Job): Promise<void> {
    const { agents, desk } = this.#options;
    for (;;) {
      const page = await agents.request(user, 'all-sessions', { user, limit: PAGE }, { timeoutMs: REQUEST_MS });
      if (page.sessions.length === 0) return;
      const queue = page.sessions.values();
      const worker = async (): Promise<void> => {
        for (const { session } of queue) {
          this.#abort.signal.throwIfAborted();
          try {
            await desk.onSession({ do: 'delete', session });
            job.sessions++;
          } catch (error) {
            if (!isFairleadError(error, 'ERR_NO_SUCH_SESSION')) throw error;
          }
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
    }
  }

  async #logOut(user: string): Promise<void> {
    const { agents, servers, forgetLogin } = this.#options;
    for (const server of servers()) {
      try {
        await agents.request(user, 'mcp-logout', { user, server }, { timeoutMs: LOGOUT_MS });
        await forgetLogin({ user, server });
      } catch (error) {
        if (!isFairleadError(error, 'ERR_NOT_FOUND')) throw error; // nobody logs in to that one
      }
    }
  }
}
