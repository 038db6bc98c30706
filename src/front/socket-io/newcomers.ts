/** Clients that have connected and not said yet who they are, by address: so many and no more. Main thread. */
import { FairleadError } from '../../shared/errors.js';

export class Newcomers {
  readonly #counts = new Map<string, number>();
  readonly #max: () => number;

  constructor(max: () => number) {
    this.#max = max;
  }

  /** ERR_TOO_MANY_REQUESTS, or undefined: then it counts until `left`. */
  enter(address: string): FairleadError | undefined {
    const count = this.#counts.get(address) ?? 0;
    if (count >= this.#max()) {
      const many = `${count} clients of this address have not said yet who they are (limits.perAddress.pendingSockets)`;
      return new FairleadError('ERR_TOO_MANY_REQUESTS', many, { retryAfterMs: 1_000 });
    }
    this.#counts.set(address, count + 1);
    return undefined;
  }

  left(address: string): void {
    const count = (this.#counts.get(address) ?? 0) - 1;
    if (count > 0) this.#counts.set(address, count);
    else this.#counts.delete(address);
  }
}
