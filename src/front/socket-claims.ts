/** Counts each limited user's connections at all servers of one store, beside those that this server counts itself. Main thread. */
import { randomUUID } from 'node:crypto';
import { FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import { quotaError } from '../shared/quotas.js';
import type { Agents } from '../threads/agents.js';

/** Other servers take one that says nothing for three times as long for gone. */
const BEAT_MS = 30_000;
/** Connections that close together are told together. */
const FLUSH_MS = 50;
const TIMEOUT_MS = 10_000;

export interface SocketClaimsOptions {
  agents: Pick<Agents, 'request'>;
  /** This server's name, the same after a restart. */
  instance: string;
  /** See `quotas.failOpen`. */
  readonly failOpen: boolean;
  log: Logger;
}

export class SocketClaims {
  readonly #options: SocketClaimsOptions;
  /** Of this process: what an earlier one of this server has counted is over. */
  readonly #server: string;
  /** Connections of each user here, once one of them was counted. */
  readonly #open = new Map<string, number>();
  /** Users whose count the store does not know yet. */
  readonly #untold = new Set<string>();
  #flush: NodeJS.Timeout | undefined;
  #beat: NodeJS.Timeout | undefined;

  constructor(options: SocketClaimsOptions) {
    this.#options = options;
    this.#server = `${options.instance}#${randomUUID()}`;
  }

  /** The user has so many connections here now. `refuse` is called later where that is too many: ERR_QUOTA, ERR_UNAVAILABLE. */
  entered(user: string, open: number, max: number, refuse: (error: FairleadError) => void): void {
    this.#open.set(user, open);
    this.#untold.delete(user);
    this.#beat ??= setInterval(() => this.#tell(), BEAT_MS).unref();
    void this.#claim(user, open, max, refuse);
  }

  left(user: string, open: number): void {
    if (!this.#open.has(user)) return;
    this.#open.set(user, open);
    this.#untold.add(user);
    this.#flush ??= setTimeout(() => this.#tell(), FLUSH_MS);
  }

  async #claim(user: string, open: number, max: number, refuse: (error: FairleadError) => void): Promise<void> {
    const { agents, failOpen, log } = this.#options;
    try {
      const claim = { server: this.#server, user, open, max };
      const { over } = await agents.request(user, 'claim-sockets', claim, { timeoutMs: TIMEOUT_MS });
      if (over) refuse(quotaError(over));
    } catch (error) {
      this.#untold.add(user);
      const err = (error as Error).message;
      if (failOpen) return log.warn({ err }, 'a connection is open without being counted');
      const text = 'the connections of this user cannot be counted now';
      refuse(new FairleadError('ERR_UNAVAILABLE', text, { cause: error, retryAfterMs: 2_000 }));
    }
  }

  #tell(): void {
    clearTimeout(this.#flush);
    this.#flush = undefined;
    const users = [...this.#untold];
    this.#untold.clear();
    // A user's thread gets all counts of the user, in their order; the beat alone may go to any.
    for (const user of users.length > 0 ? users : ['']) void this.#renew(user);
    for (const user of users) if (this.#open.get(user) === 0) this.#open.delete(user);
    if (this.#open.size > 0) return;
    clearInterval(this.#beat);
    this.#beat = undefined;
  }

  async #renew(user: string): Promise<void> {
    const { agents, log } = this.#options;
    const claims = user === '' ? [] : [{ user, open: this.#open.get(user) ?? 0 }];
    try {
      await agents.request(user, 'renew-sockets', { server: this.#server, claims }, { timeoutMs: TIMEOUT_MS });
    } catch (error) {
      if (user !== '') this.#untold.add(user);
      log.debug({ err: (error as Error).message }, 'the connections of users are counted again later');
    }
  }
}
