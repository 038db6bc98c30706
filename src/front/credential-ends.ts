/** Ends the sockets and streams whose credential has ended. One timer for all, and none while no credential ends. Main thread. */
import { CLOSE } from '../shared/protocol.js';
import type { Subscriber } from './hub.js';

/** A credential that has ended closes what stands on it within a second. */
const INTERVAL_MS = 400;

export class CredentialEnds {
  readonly #present: ReadonlySet<Subscriber>;
  readonly #now: () => number;
  /** No credential of those who are present ends before. */
  #next = Infinity;
  #timer: NodeJS.Timeout | undefined;

  /** `present`: all that may have to end. A socket costs nothing beside its place there. */
  constructor(present: ReadonlySet<Subscriber>, now: () => number = Date.now) {
    this.#present = present;
    this.#now = now;
  }

  /** True while no credential ends, and thus no timer runs. */
  get idle(): boolean {
    return this.#timer === undefined;
  }

  /** Somebody has come, or has another credential. */
  note({ person: { expiresAt } }: Subscriber): void {
    if (expiresAt === undefined || expiresAt >= this.#next) return;
    this.#next = expiresAt;
    this.#timer ??= setInterval(() => this.check(), INTERVAL_MS).unref();
  }

  /** By the wall clock, as credentials name their end: a clock that jumps ahead ends them at once. */
  check(): void {
    const now = this.#now();
    if (now < this.#next) return;
    const ended: Subscriber[] = [];
    let next = Infinity;
    for (const subscriber of this.#present) {
      const { expiresAt = Infinity } = subscriber.person;
      if (expiresAt <= now) ended.push(subscriber);
      else if (expiresAt < next) next = expiresAt;
    }
    this.#next = next;
    if (next === Infinity) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    for (const subscriber of ended) subscriber.gone(CLOSE.unauthorized, 'the credential has ended');
  }
}
