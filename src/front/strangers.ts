/**
 * Limits what an address may do without credentials: sockets that have sent no request yet, requests a second, failed logins
 * among them, and requests that are open. Requests with credentials never count, so that people behind one address do not
 * pay for each other. Main thread.
 */
import type { Config } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import { RequestRate } from './request-rate.js';

export class Strangers {
  readonly #limits: Config['limits']['perAddress'];
  readonly #rate: RequestRate;
  /** By address; without an entry at 0, so that the tables are no larger than the open sockets are many. */
  readonly #pending = new Map<string, number>();
  readonly #open = new Map<string, number>();

  constructor(limits: Config['limits']['perAddress'], now?: () => number) {
    this.#limits = limits;
    this.#rate = new RequestRate({
      get perSecond() {
        return limits.requestsPerSecond;
      },
      refusal: 'too many requests without valid credentials come from this address',
      ...(now && { now }),
    });
  }

  get addresses(): number {
    return this.#pending.size + this.#open.size;
  }

  /** False: the address has too many sockets that have sent no request. Otherwise it counts until `settled`. */
  connected(address: string): boolean {
    if ((this.#pending.get(address) ?? 0) >= this.#limits.pendingSockets) return false;
    add(this.#pending, address, 1);
    return true;
  }

  /** The socket has sent a request, or has closed before. Which socket of the address it was makes no difference. */
  settled(address: string): void {
    add(this.#pending, address, -1);
  }

  /** Counts a request without valid credentials. ERR_TOO_MANY_REQUESTS. */
  asked(address: string): FairleadError | undefined {
    return this.#rate.take(address);
  }

  /** ERR_TOO_MANY_REQUESTS, or undefined: then the request counts as open until `left`. */
  enter(address: string): FairleadError | undefined {
    const { openRequests } = this.#limits;
    if ((this.#open.get(address) ?? 0) >= openRequests) {
      return new FairleadError(
        'ERR_TOO_MANY_REQUESTS',
        `${openRequests} requests without credentials from this address are unanswered already`,
        { retryAfterMs: 1_000 },
      );
    }
    add(this.#open, address, 1);
    return undefined;
  }

  left(address: string): void {
    add(this.#open, address, -1);
  }
}

function add(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
