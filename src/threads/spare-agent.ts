/** Keeps one loaded agent thread as a spare, which replaces a dead one in a fraction of the time. Main thread. */
import type { Worker } from 'node:worker_threads';
import type { Logger } from '../shared/log.js';
import type { TakePlace } from '../../workers/agent/spare.js';

/** The boot, or the thread that has just replaced another one, gets the processor first. */
const BOOT_AFTER_MS = 5_000;

export interface SpareOptions {
  spawn: () => Worker;
  /** What a thread starts with now. */
  now: () => Omit<TakePlace, 'index'>;
  log: Logger;
  bootAfterMs?: number;
}

export class SpareAgent {
  readonly #options: SpareOptions;
  #worker: Worker | undefined;
  #loaded = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: SpareOptions) {
    this.#options = options;
  }

  /** Boots a spare after a while, if there is none. */
  prepare(): void {
    if (this.#closed || this.#worker || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#boot();
    }, this.#options.bootAfterMs ?? BOOT_AFTER_MS);
    this.#timer.unref();
  }

  /** Turns the spare into agent thread `index`; undefined when none is loaded. */
  take(index: number): Worker | undefined {
    const worker = this.#worker;
    if (!worker || !this.#loaded) return undefined;
    this.#forget(worker);
    worker.postMessage({ index, ...this.#options.now() } satisfies TakePlace);
    worker.ref();
    return worker;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#worker?.terminate();
  }

  #boot(): void {
    const { spawn, log } = this.#options;
    let worker: Worker;
    try {
      worker = spawn();
    } catch (error) {
      log.warn({ err: (error as Error).message }, 'the spare agent thread could not be started');
      return;
    }
    this.#worker = worker;
    worker.unref();
    worker.once('message', this.#onLoaded);
    worker.on('error', this.#onError);
    worker.once('exit', this.#onExit);
  }

  readonly #onLoaded = (): void => {
    this.#loaded = true;
    this.#options.log.debug('a spare agent thread is loaded');
  };

  readonly #onError = (error: Error): void => {
    this.#options.log.warn({ err: error.message }, 'the spare agent thread failed');
  };

  readonly #onExit = (): void => {
    if (this.#worker) this.#forget(this.#worker);
    this.prepare();
  };

  #forget(worker: Worker): void {
    worker.off('message', this.#onLoaded);
    worker.off('error', this.#onError);
    worker.off('exit', this.#onExit);
    this.#worker = undefined;
    this.#loaded = false;
  }
}
