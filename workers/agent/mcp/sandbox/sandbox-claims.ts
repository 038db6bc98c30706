/** The sandboxes that this thread's sessions hold, counted for their users in the store. Agent threads. */
import { LRUCache } from 'lru-cache';
import type { Logger } from '../../../../src/shared/log.js';
import { quotaError, type Quota } from '../../../../src/shared/quotas.js';
import { CLAIM_MS, type QuotaCounters, type SandboxClaim } from '../../store/quota-counters.js';
import type { Caller } from '../host/server-connection.js';

/** Two renewals may fail before a claim ends. */
const RENEW_MS = CLAIM_MS / 3;
const MAX_REFUSED = 1_000;
/** As long as a model takes to try again, several times over. */
const REFUSED_MS = 10_000;

export interface SandboxClaimsOptions {
  counters: Pick<QuotaCounters, 'claimSandbox' | 'renewSandboxes' | 'releaseSandbox'>;
  quotaOf: (caller: Caller) => Pick<Quota, 'maxSandboxes' | 'maxWorkspaceBytes'>;
  /** See `quotas.failOpen`. */
  readonly failOpen: boolean;
  log: Logger;
}

/** Whether a sandbox may be taken; it is asked for while the claim is on its way. */
export interface Permit {
  /** The sandbox must not be asked for before it: the user has been refused lately, and each refusal would cost a warm sandbox. */
  first: boolean;
  /** ERR_QUOTA, ERR_UNAVAILABLE. */
  granted: Promise<void>;
}

export const FREE: Permit = { first: false, granted: Promise.resolve() };

export class SandboxClaims {
  readonly #options: SandboxClaimsOptions;
  readonly #held = new Map<string, SandboxClaim>();
  readonly #refused = new LRUCache<string, true>({ max: MAX_REFUSED, ttl: REFUSED_MS });
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SandboxClaimsOptions) {
    this.#options = options;
  }

  ask(caller: Caller, server: string): Permit {
    const { user, session } = caller;
    const limits = this.#options.quotaOf(caller);
    if (limits.maxSandboxes === 0 && limits.maxWorkspaceBytes === 0) return FREE;
    const first = this.#refused.has(user);
    return { first, granted: this.#claim({ user, session, server }, limits) };
  }

  /** The sandbox is gone. Idempotent. */
  end(session: string, server: string): void {
    const claim = this.#held.get(keyOf({ session, server }));
    if (!claim) return;
    this.#held.delete(keyOf(claim));
    this.#setTimer();
    this.#inBackground(this.#options.counters.releaseSandbox(claim), 'a sandbox counts until its claim ends');
  }

  close(): void {
    this.#held.clear();
    this.#setTimer();
  }

  async #claim(claim: SandboxClaim, limits: Pick<Quota, 'maxSandboxes' | 'maxWorkspaceBytes'>): Promise<void> {
    const { counters, failOpen, log } = this.#options;
    // Before the answer: one that is lost may have been a yes, and `end` takes it back.
    this.#held.set(keyOf(claim), claim);
    this.#setTimer();
    try {
      const over = await counters.claimSandbox(claim, limits);
      if (!over) return;
      this.#refused.set(claim.user, true);
      this.#held.delete(keyOf(claim)); // it was not counted
      this.#setTimer();
      throw quotaError(over);
    } catch (error) {
      if (!failOpen || !this.#held.has(keyOf(claim))) throw error;
      log.warn({ err: (error as Error).message }, 'a sandbox is given without being counted');
    }
  }

  #setTimer(): void {
    if (this.#held.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    this.#timer ??= setInterval(() => {
      const renewed = this.#options.counters.renewSandboxes([...this.#held.values()]);
      this.#inBackground(renewed, 'the sandboxes of this thread could not be counted again');
    }, RENEW_MS).unref();
  }

  #inBackground(work: Promise<void>, failure: string): void {
    work.catch((error: unknown) => this.#options.log.warn({ err: (error as Error).message }, failure));
  }
}

function keyOf({ session, server }: Pick<SandboxClaim, 'session' | 'server'>): string {
  return `${session} ${server}`;
}
