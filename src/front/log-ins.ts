/**
 * Records who is let in and who is not. A credential comes with every request, so it is recorded when it has not come from that
 * address for a while; failures are recorded and logged at a bounded rate, with the number of those that were left out. Main thread.
 */
import { LRUCache } from 'lru-cache';
import { audit } from '../shared/audit.js';
import type { FairleadError } from '../shared/errors.js';
import type { Person } from '../shared/person.js';
import { BoundedEntries } from './bounded-entries.js';
import type { RefusalLog } from './refusal-log.js';

const SEEN_MS = 3_600_000;
const MAX_SEEN = 20_000;

/** What an asker has sent to be let in. */
export interface Offered {
  address: string;
  path?: string;
  requestId?: string;
  authorization: string;
  /** The `Sec-WebSocket-Protocol` of an upgrade. */
  protocols?: string;
}

export class LogIns {
  readonly #seen = new LRUCache<string, true>({ max: MAX_SEEN, ttl: SEEN_MS });
  readonly #refusals: Pick<RefusalLog, 'note'> | undefined;
  readonly #failures = new BoundedEntries();

  /** Without `refusals` a failure leaves no line in the log. */
  constructor(refusals?: Pick<RefusalLog, 'note'>) {
    this.#refusals = refusals;
  }

  letIn({ user, role, credential }: Person, address: string): void {
    const key = `${user} ${credential} ${address}`;
    if (this.#seen.has(key)) return;
    this.#seen.set(key, true);
    audit({ what: 'login', user, credential, address, about: { role } });
  }

  /** Whoever offers nothing has not tried. */
  refused(offered: Offered, why: FairleadError): void {
    const { address, authorization, protocols = '' } = offered;
    if (authorization === '' && !protocols.includes('bearer.')) return;
    this.#refusals?.note(why, offered);
    const more = this.#failures.take(address);
    if (!more) return;
    const outcome = why.code === 'ERR_UNAVAILABLE' ? 'failed' : 'refused'; // nobody has judged it
    audit({ what: 'login_failed', outcome, address, about: { code: why.code, why: why.message, ...more } });
  }
}
