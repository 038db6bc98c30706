/** Asks a server that is silent during a request for a sign of life, so that a stopped one costs seconds and not the whole time limit. Agent threads. */
import { pending } from '../../../../src/shared/abort.js';
import type { FairleadError } from '../../../../src/shared/errors.js';

/** Of the silence that is allowed, the part after which the server is asked. */
const ASK_AFTER = 1 / 3;
/** The longest wait for an answer once a request has reached its time limit. */
const LAST_CHECK_MS = 5_000;

export interface ProofOfLifeOptions {
  /** How long a server may send nothing at all, asked or not; 0: for ever. */
  silenceMs: number;
  /** When its last message came, ms on the monotonic clock. */
  heardAt: () => number;
  /** Resolves with false when it does not answer in time. Never rejects. */
  ask: (timeoutMs: number) => Promise<boolean>;
  /** Ends or replaces it. Resolves with what its running requests are told. Never rejects. */
  onDead: () => Promise<FairleadError>;
}

export class ProofOfLife {
  readonly #options: ProofOfLifeOptions;
  #running = 0;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Resolves with what its end tells, when it is dead. */
  #asking: Promise<FairleadError | undefined> | undefined;
  #death = pending<never>();

  constructor(options: ProofOfLifeOptions) {
    this.#options = options;
  }

  /** Settles as `work` does, or rejects when the server is found dead. */
  async guard<T>(work: () => Promise<T>): Promise<T> {
    if (this.#options.silenceMs === 0) return work();
    if (this.#running++ === 0) this.#start();
    try {
      return await Promise.race([work(), this.#death.promise]);
    } finally {
      if (--this.#running === 0) clearInterval(this.#timer);
    }
  }

  /** A request has reached its time limit. Resolves with what the server's end tells; undefined: it lives. */
  async check(): Promise<FairleadError | undefined> {
    const { silenceMs } = this.#options;
    if (silenceMs === 0) return undefined;
    return this.#ask(Math.min(LAST_CHECK_MS, silenceMs));
  }

  #start(): void {
    const everyMs = this.#options.silenceMs * ASK_AFTER;
    this.#since = performance.now();
    this.#timer = setInterval(() => {
      const silentMs = performance.now() - Math.max(this.#since, this.#options.heardAt());
      if (silentMs >= everyMs && !this.#asking) void this.#ask(this.#options.silenceMs - everyMs);
    }, everyMs);
  }

  #ask(timeoutMs: number): Promise<FairleadError | undefined> {
    this.#asking ??= this.#askOnce(timeoutMs).finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #askOnce(timeoutMs: number): Promise<FairleadError | undefined> {
    const { ask, onDead } = this.#options;
    if (await ask(timeoutMs)) return undefined;
    const error = await onDead();
    const { reject } = this.#death;
    this.#death = pending<never>();
    reject(error);
    return error;
  }
}
