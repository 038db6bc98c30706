/** Tells when a part on which the server stands went away, when it came back, and how long that took: a line each, at a bounded rate. Main thread. */
import type { Logger } from '../shared/log.js';
import { TokenBucket } from '../shared/token-bucket.js';

/** Of a part that comes and goes: then one in ten seconds. */
const BURST = 10;
const PER_SECOND = 0.1;

export type OutagePart = 'store' | 'docker' | 'model';

export interface Outage {
  part: OutagePart;
  /** ms since the epoch. */
  since: number;
  /** Its first reason. */
  why: string;
}

interface Part {
  /** Who finds it away, with the reason. */
  away: Map<number, string>;
  bucket: TokenBucket;
  outage: (Outage & { at: number; told: boolean }) | undefined;
  unlogged: number;
}

export class Outages {
  readonly #log: Pick<Logger, 'error' | 'warn'>;
  readonly #parts = new Map<OutagePart, Part>();

  constructor(log: Pick<Logger, 'error' | 'warn'>) {
    this.#log = log;
  }

  /** `observer`: of several that look at the same part, such as the agent threads. `why` undefined: it finds the part well. */
  note(part: OutagePart, why: string | undefined, observer = 0): void {
    const known = this.#of(part);
    if (why === undefined) known.away.delete(observer);
    else known.away.set(observer, why);
    if (known.away.size === 0) this.#ends(known);
    else if (!known.outage && why !== undefined) this.#begins(known, part, why);
  }

  /** Those that go on. */
  current(): Outage[] {
    const outages = [...this.#parts.values()].flatMap(({ outage }) => outage ?? []);
    return outages.map(({ part, since, why }) => ({ part, since, why }));
  }

  #begins(known: Part, part: OutagePart, why: string): void {
    const told = known.bucket.take();
    known.outage = { part, since: Date.now(), why, at: performance.now(), told };
    if (!told) {
      known.unlogged++;
      return;
    }
    const more = known.unlogged === 0 ? {} : { unlogged: known.unlogged };
    known.unlogged = 0;
    this.#log.error({ part, why, ...more }, `an outage has begun: ${part}`);
  }

  #ends(known: Part): void {
    const { outage } = known;
    known.outage = undefined;
    if (!outage?.told) return;
    const { part, since, why, at } = outage;
    const ms = Math.round(performance.now() - at);
    const began = new Date(since).toISOString();
    this.#log.warn({ part, began, ms, why }, `an outage has ended after ${(ms / 1_000).toFixed(1)} s: ${part}`);
  }

  #of(part: OutagePart): Part {
    let known = this.#parts.get(part);
    if (!known) {
      known = { away: new Map(), bucket: new TokenBucket(BURST, PER_SECOND), outage: undefined, unlogged: 0 };
      this.#parts.set(part, known);
    }
    return known;
  }
}
