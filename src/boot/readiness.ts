/** Whether a load balancer may send users here, and why not: the answer of /readyz. Main thread. */
import type { BreakerState } from '../../workers/docker/contract/messages.js';
import { pending } from '../shared/abort.js';
import { FairleadError } from '../shared/errors.js';
import type { Outages } from './outages.js';

const RETRY_MS = 5_000;

export class Readiness {
  #serves = false;
  #booted = false;
  /** The reason why the start waits, by part. */
  readonly #waits = new Map<string, string>();
  readonly #boot = pending<void>();
  /** Resolves at the end of the boot. */
  readonly whenBooted = this.#boot.promise;
  #draining = false;
  /** An administrator's drain, which may end. */
  #resting = false;
  /** Why their store cannot be used, by thread. */
  readonly #withoutStore = new Map<number, string>();
  #model: string | undefined;
  #credentials: string | undefined;
  #breaker: BreakerState = 'closed';
  readonly #threads: { readonly size: number; readonly alive: number };

  readonly #more: () => string[];
  readonly #outages: Pick<Outages, 'note'> | undefined;

  /** `more`: further reasons, of parts that keep their own. `outages` is told what goes away while the server runs. */
  constructor(
    threads: { readonly size: number; readonly alive: number },
    more: () => string[] = () => [],
    outages?: Pick<Outages, 'note'>,
  ) {
    this.#threads = threads;
    this.#more = more;
    this.#outages = outages;
  }

  /** The start waits for a part; undefined: no more. */
  waitsFor(part: string, reason: string | undefined): void {
    if (reason === undefined) this.#waits.delete(part);
    else this.#waits.set(part, reason);
  }

  /** All parts are there: requests are served from now on. */
  serves(): void {
    this.#serves = true;
  }

  /** Why no request is served yet: ERR_UNAVAILABLE. Probes are answered always. */
  refusal(): FairleadError | undefined {
    if (this.#serves) return undefined;
    const why = [...this.#waits.values()].join(', ') || 'the server is starting';
    return new FairleadError('ERR_UNAVAILABLE', `nothing is served yet: ${why}`, { retryAfterMs: RETRY_MS });
  }

  booted(): void {
    this.#serves = true;
    this.#booted = true;
    this.#boot.resolve();
  }

  draining(): void {
    this.#draining = true;
  }

  rests(resting: boolean): void {
    this.#resting = resting;
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  /** An agent thread reports whether its store answers and takes writes. */
  storeHealth(thread: number, healthy: boolean, why = ''): void {
    if (healthy) this.#withoutStore.delete(thread);
    else this.#withoutStore.set(thread, why);
    this.#outages?.note('store', healthy ? undefined : why || 'it does not answer', thread);
  }

  /** Why the model cannot be used; undefined when it answers. */
  modelHealth(reason: string | undefined): void {
    this.#model = reason;
  }

  /** An agent thread reports that the model's API is away or unwell; undefined: it answers. Users may be served without it. */
  modelCalls(thread: number, why: string | undefined): void {
    this.#outages?.note('model', why, thread);
  }

  /** Why tokens and blocks may be old; undefined when they are not. */
  credentialsState(reason: string | undefined): void {
    this.#credentials = reason;
  }

  /** The docker thread reports its circuit breaker. */
  dockerBreaker(state: BreakerState): void {
    this.#breaker = state;
    this.#outages?.note('docker', state === 'closed' ? undefined : `the circuit breaker is ${state}`);
  }

  read(): { ready: boolean; reasons: string[] } {
    const down = this.#booted ? this.#threads.size - this.#threads.alive : 0;
    const reasons = [
      ...(this.#booted || this.#waits.size > 0 ? [] : ['starting']),
      ...this.#waits.values(),
      ...(this.#draining || this.#resting ? ['draining'] : []),
      ...[...this.#withoutStore.values()].slice(0, 1).map((why) => `the store does not answer${why && `: ${why}`}`),
      ...(this.#credentials === undefined ? [] : [this.#credentials]),
      ...(this.#model === undefined ? [] : [this.#model]),
      ...(this.#breaker === 'closed' ? [] : [`Docker does not answer (circuit breaker ${this.#breaker})`]),
      ...this.#more(),
      ...(down > 0 ? [`${down} agent threads are down`] : []),
    ];
    return { ready: reasons.length === 0, reasons };
  }
}
