/** Containers that nobody knows, sandboxes and saved workspaces of sessions that are no more: at start and every minute. Docker thread. */
import type { Logger } from '../../src/shared/log.js';
import { counter } from '../../src/shared/metrics.js';
import type { SandboxDriver } from './driver/driver.js';

const EVERY_MS = 60_000;

const leftovers = counter('fairlead_sandbox_leftovers_total', 'Sandboxes that nobody knew and that were removed');

export interface ReconcilerOptions {
  driver: Pick<SandboxDriver, 'removeUnknown'>;
  /** By name, as the driver's start was given it. */
  isKnown: (name: string) => boolean;
  /** This one is gone now, by name. */
  onRemoved?: (name: string) => void;
  /** Lets go of what belongs to sessions that are no more. */
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

  /** Now and from then on. */
  start(): void {
    if (this.#closed) return;
    void this.reconcile().finally(() => {
      if (this.#closed) return;
      this.#timer = setTimeout(() => this.start(), this.#options.everyMs ?? EVERY_MS);
    });
  }

  /** Once. What fails is logged, and the next one tries again. */
  async reconcile(): Promise<void> {
    try {
      await this.sweep();
      await this.#options.forgetMissing();
    } catch (error) {
      this.#options.log.warn({ err: error }, 'what is left over could not be looked for');
    }
  }

  /**
   * A sweep under way may have looked too early for whoever asks now: another follows it, one for all who ask meanwhile.
   * Answers how many were removed. ERR_UNAVAILABLE.
   */
  sweep(): Promise<number> {
    if (this.#sweep) {
      this.#nextSweep ??= this.#sweep
        .catch(() => undefined) // told to those who asked for it
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
    if (removed > 0) this.#options.log.info({ removed }, 'leftover sandboxes removed');
    return removed;
  }
}
