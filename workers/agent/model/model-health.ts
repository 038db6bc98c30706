/** Notices that the model's API is away or unwell: several requests in a row have failed, and none was answered between them. Agent threads. */
import { isFairleadError } from '../../../src/shared/errors.js';
import { RateRefusal, RefusedRequest } from './model-errors.js';

/** One may be bad luck. */
const FAILURES = 3;

export class ModelHealth {
  readonly #tell: (why: string | undefined) => void;
  #failures = 0;

  /** `tell` gets the reason once, and undefined at the first answer after it. */
  constructor(tell: (why: string | undefined) => void) {
    this.#tell = tell;
  }

  answered(): void {
    const away = this.#failures >= FAILURES;
    this.#failures = 0;
    if (away) this.#tell(undefined);
  }

  /** An API that refuses what a request holds, or how many there are, is there. */
  failed(error: unknown): void {
    if (!isFairleadError(error, 'ERR_MODEL')) return;
    if (error instanceof RefusedRequest || error instanceof RateRefusal) return;
    if (++this.#failures === FAILURES) this.#tell(error.message);
  }
}
