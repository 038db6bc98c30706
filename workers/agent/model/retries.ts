/** How often, and after what wait, a request is made again of which nothing has been shown. One per answer; agent threads. */
import { backoffMs, type Backoff } from '../../../src/shared/backoff.js';
import { abortable } from '../../../src/shared/abort.js';
import { PassingFailure } from './model-errors.js';

const WAITS: Backoff = { firstMs: 500, maxMs: 8_000 };
/** When the API asks for a longer wait, the answer fails at once: the user is told instead of waiting in silence. */
const MAX_RETRY_WAIT_MS = 10_000;

export class Retries {
  readonly #max: number;
  readonly #signal: AbortSignal;
  readonly #endsAt: number;
  #failures = 0;

  /** The answer must begin within `timeoutMs` from now, whatever the retries. */
  constructor({ max, timeoutMs, signal }: { max: number; timeoutMs: number; signal: AbortSignal }) {
    this.#max = max;
    this.#signal = signal;
    this.#endsAt = performance.now() + timeoutMs;
  }

  get leftMs(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  /** Waits as long as the failure says, else a growing time. False when the request is not to be made again. Rejects with ERR_CANCELLED. */
  async wait(error: unknown): Promise<boolean> {
    if (!(error instanceof PassingFailure) || ++this.#failures > this.#max) return false;
    const waitMs = error.retryAfterMs ?? backoffMs(this.#failures, WAITS);
    if (waitMs > MAX_RETRY_WAIT_MS || waitMs >= this.leftMs) return false;
    await pause(waitMs, this.#signal);
    return true;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await abortable(() => new Promise<void>((resolve) => (timer = setTimeout(resolve, ms))), signal);
  } finally {
    clearTimeout(timer);
  }
}
