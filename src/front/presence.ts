/** Counts the open connections of each user, for the limits, and closes them all at the end. Main thread. */
import type { Config } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import { CredentialEnds } from './credential-ends.js';
import type { Person } from '../shared/person.js';
import { connectionsGauge } from './front-metrics.js';
import { limitOf, quotaError } from '../shared/quotas.js';
import { CLOSE } from '../shared/protocol.js';
import type { Subscriber } from './hub.js';
import type { SocketClaims } from './socket-claims.js';

export interface PresenceOptions {
  limits: Pick<Config['limits'], 'maxSocketsPerUser' | 'maxConnections'>;
  /** Absent: `limits` holds for everybody. */
  quotas?: Config['quotas'];
  /** Absent: no other server has this store. */
  claims?: SocketClaims | undefined;
}

export class Presence {
  readonly #options: PresenceOptions;
  readonly #present = new Set<Subscriber>();
  readonly #byUser = new Map<string, number>();
  readonly #ends = new CredentialEnds(this.#present);
  draining = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#present.size;
  }

  /**
   * Undefined, or the refusal: ERR_DRAINING, ERR_UNAVAILABLE, ERR_TOO_MANY_SOCKETS, ERR_QUOTA. A subscriber that has entered must
   * `leave`. One that is too many only together with other servers of the store is told so by `gone`, soon.
   */
  enter(user: string, subscriber: Subscriber): FairleadError | undefined {
    if (this.draining) return drainingError();
    const { limits, claims } = this.#options;
    if (this.#present.size >= limits.maxConnections) {
      return new FairleadError('ERR_UNAVAILABLE', 'the server has reached its limit of connections', {
        retryAfterMs: 5_000,
      });
    }
    const count = this.#byUser.get(user) ?? 0;
    const max = this.#maxOf(subscriber);
    if (max === undefined && count >= limits.maxSocketsPerUser) {
      return new FairleadError(
        'ERR_TOO_MANY_SOCKETS',
        `this user has ${limits.maxSocketsPerUser} connections already`,
        {
          retryAfterMs: 5_000,
        },
      );
    }
    if (max && count >= max) return quotaError({ limit: 'maxSockets', max, used: count });
    this.#byUser.set(user, count + 1);
    this.#present.add(subscriber);
    this.#ends.note(subscriber);
    connectionsGauge.inc();
    if (max) {
      claims?.entered(user, count + 1, max, (error) => {
        if (this.#present.has(subscriber)) subscriber.gone(CLOSE.overloaded, error.message, error);
      });
    }
    return undefined;
  }

  /** 0: none; undefined: that of every user. */
  #maxOf({ person }: Subscriber): number | undefined {
    const { quotas } = this.#options;
    return quotas && limitOf({ quotas }, person, 'maxSockets');
  }

  /** Without effect for a subscriber that has not entered. */
  leave(user: string, subscriber: Subscriber): void {
    if (!this.#present.delete(subscriber)) return;
    connectionsGauge.dec();
    const count = this.#byUser.get(user) ?? 0;
    if (count > 1) this.#byUser.set(user, count - 1);
    else this.#byUser.delete(user);
    this.#options.claims?.left(user, count - 1);
  }

  /** Closes those whose person `ends`; resolves with their number. */
  closeWhere(ends: (person: Person) => boolean, code: number, reason: string): number {
    let closed = 0;
    for (const subscriber of this.#present) {
      if (!ends(subscriber.person)) continue;
      subscriber.gone(code, reason);
      closed++;
    }
    return closed;
  }

  /** How many connections each user has here. */
  get users(): ReadonlyMap<string, number> {
    return this.#byUser;
  }

  /** The user's connections here. */
  countOf(user: string): number {
    return this.#byUser.get(user) ?? 0;
  }

  closeAll(code: number, reason: string): void {
    for (const subscriber of this.#present) subscriber.gone(code, reason);
  }

  /** The subscriber stands on another credential now. */
  renewed(subscriber: Subscriber): void {
    this.#ends.note(subscriber);
  }
}

/** Why a connection is closed that waits for nothing. */
export const DRAINS = 'the server drains: come back with after';

export function drainingError(): FairleadError {
  return new FairleadError('ERR_DRAINING', 'the server takes nothing new: it drains or stops', { retryAfterMs: 5_000 });
}
