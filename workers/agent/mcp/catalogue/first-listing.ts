/** The moment after a start in which not every server has been listed: the first turns wait for it. Agent threads. */
import { pending } from '../../../../src/shared/abort.js';

export class FirstListing {
  /** Resolves when each server has been listed or has failed, or when the wait is over. Never rejects. */
  readonly over: Promise<void>;
  readonly #servers: readonly string[];
  readonly #end: () => void;
  #isOver = false;

  constructor(servers: readonly string[], waitMs: number) {
    this.#servers = servers;
    const { promise, resolve } = pending<void>();
    this.over = promise;
    this.#end = () => {
      clearTimeout(timer);
      this.#isOver = true;
      resolve();
    };
    const timer = setTimeout(this.#end, waitMs).unref(); // it must not keep the thread up
    this.note(() => false);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  note(isListed: (server: string) => boolean): void {
    if (this.#servers.every(isListed)) this.#end();
  }
}
