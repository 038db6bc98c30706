/** Counts the open connections of each user, for the limits, and closes them all at the end. Main thread. */
import type { Config } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import { CredentialEnds } from './credential-ends.js';
import type { Person } from '../shared/person.js';
import { connectionsGauge } from './front-metrics.js';
import type { Subscriber } from './hub.js';

export class Presence {
  readonly #limits: Pick<Config['limits'], 'maxSocketsPerUser' | 'maxConnections'>;
  readonly #present = new Set<Subscriber>();
  readonly #byUser = new Map<string, number>();
  readonly #ends = new CredentialEnds(this.#present);
  draining = false;

  constructor(limits: Pick<Config['limits'], 'maxSocketsPerUser' | 'maxConnections'>) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#present.size;
  }

  /** Undefined, or the refusal: ERR_DRAINING, ERR_UNAVAILABLE, ERR_TOO_MANY_SOCKETS. A subscriber that has entered must `leave`. */
  enter(user: string, subscriber: Subscriber): FairleadError | undefined {
    if (this.draining) return drainingError();
    const { maxConnections, maxSocketsPerUser } = this.#limits;
    if (this.#present.size >= maxConnections) {
      return new FairleadError('ERR_UNAVAILABLE', 'the server has reached its limit of connections', {
        retryAfterMs: 5_000,
      });
    }
    const count = this.#byUser.get(user) ?? 0;
    if (count >= maxSocketsPerUser) {
      return new FairleadError('ERR_TOO_MANY_SOCKETS', `this user has ${maxSocketsPerUser} connections already`, {
        retryAfterMs: 5_000,
      });
    }
    this.#byUser.set(user, count + 1);
    this.#present.add(subscriber);
    this.#ends.note(subscriber);
    connectionsGauge.inc();
    return undefined;
  }

  /** Without effect for a subscriber that has not entered. */
  leave(user: string, subscriber: Subscriber): void {
    if (!this.#present.delete(subscriber)) return;
    connectionsGauge.dec();
    const count = this.#byUser.get(user) ?? 0;
    if (count > 1) this.#byUser.set(user, count - 1);
    else this.#byUser.delete(user);
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

  closeAll(code: number, reason: string): void {
    for (const subscriber of this.#present) subscriber.gone(code, reason);
  }

  /** The subscriber stands on another credential now. */
  renewed(subscriber: Subscriber): void {
    this.#ends.note(subscriber);
  }
}

export function drainingError(): FairleadError {
  return new FairleadError('ERR_DRAINING', 'the server is stopping', { retryAfterMs: 5_000 });
}
