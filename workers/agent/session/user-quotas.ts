/** The limits of the users whose sessions are on this thread, and who has met one lately. Agent threads. */
import { LRUCache } from 'lru-cache';
import { quotaOf, type Quota, type QuotaConfig, type QuotaExcess } from '../../../src/shared/quotas.js';

const MAX_USERS = 1_000;
/** Of a limit that says no time: as long as an impatient client takes to try again, several times over. */
const REMEMBERED_MS = 10_000;
const MAX_REMEMBERED_MS = 60_000;

export class UserQuotas {
  readonly #config: QuotaConfig;
  readonly #refused = new LRUCache<string, true>({ max: MAX_USERS });

  constructor(config: QuotaConfig) {
    this.#config = config;
  }

  of(user: string, groups: readonly string[]): Quota {
    return quotaOf(this.#config, { user, groups });
  }

  noteRefused(user: string, { resetAt }: QuotaExcess): void {
    const ms = resetAt === undefined ? REMEMBERED_MS : resetAt - Date.now();
    this.#refused.set(user, true, { ttl: Math.min(MAX_REMEMBERED_MS, Math.max(1, ms)) });
  }

  /** The next message may be refused as well: the model must not be asked before the store has accepted it. */
  isNear(user: string): boolean {
    return this.#refused.has(user);
  }
}
