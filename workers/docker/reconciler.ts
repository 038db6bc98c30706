/** Removes unknown containers, and sandboxes and archives of deleted sessions: at start and every minute. Docker thread. */
import type { Logger } from '../../src/shared/log.js';
import { counter } from '../../src/shared/metrics.js';
import type { SandboxDriver } from './driver/driver.js';

const EVERY_MS = 60_000;

const leftovers = counter('fairlead_sandbox_leftovers_total', 'Unknown sandboxes that were removed');

export interface ReconcilerOptions {
  driver: Pick<SandboxDriver, 'removeUnknown'>;
  /** By the name that the sandbox was started with. */
  isKnown: (name: string) => boolean;
  /** A sandbox is removed, by name. */
  onRemoved?: (name: string) => void;
  /** Removes what belongs to deleted sessions. */
  forgetMissing: () => Promise<void>;
  log: Logger;
  everyMs?: number;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  #timer: NodeJS.Timeout | undefined;
  #sweep: Promise<number> | undefined;
  #nextSweep: Promise<number> | undefined;
  #closed = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Reconciles now and every `everyMs` after. */
  start(): void {
    if (this.#closed) return;
    void this.reconcile().finally(() => {
      if (this.#closed) return;
      this.#timer = setTimeout(() => this.start(), this.#options.everyMs ?? EVERY_MS);
    });
  }

  /** One round. A failure is logged; the next round tries again. */
  async reconcile(): Promise<void> {
    try {
      await this.sweep();
      await this.#options.forgetMissing();
    } catch (error) {
      this.#options.log.warn({ err: error }, 'reconcile failed');
    }
  }

  /**
   * A sweep under way may have listed too early for this caller: one more follows it, shared by all who call meanwhile.
   * Resolves with how many were removed. ERR_UNAVAILABLE.
   */
  sweep(): Promise<number> {
    if (this.#sweep) {
      this.#nextSweep ??= this.#sweep
        .catch(() => undefined) // its own callers get the error
        .then(() => {
          this.#nextSweep = undefined;
          return this.sweep();
        });
      return this.#nextSweep;
    }
    this.#sweep = this.#run().finally(() => {
      this.#sweep = undefined;
    });
    return this.#sweep;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<number> {
    const { driver, isKnown, onRemoved } = this.#options;
    const removed = await driver.removeUnknown(isKnown, onRemoved);
    leftovers.inc(removed);
    if (removed > 0) this.#options.log.info({ removed }, 'unknown sandboxes removed');
    return removed;
  }
}
