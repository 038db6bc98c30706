/** Asks for the model from the boot until it answers for the first time, so that the server waits for it instead of failing. Main thread. */
import { backoffMs, type Backoff } from '../shared/backoff.js';
import type { Logger } from '../shared/log.js';
import { modelAddress, type ModelAccess } from '../shared/config-model.js';
import { probeModel, type ModelAnswer } from '../shared/model-probe.js';
import type { Proxies } from '../shared/proxies.js';

/** The model is away: it may be back at any moment. */
const AWAY: Backoff = { firstMs: 500, maxMs: 30_000 };
/** The key is refused: somebody must act, and an API may block an address that asks too often with a bad key. */
const REFUSED: Backoff = { firstMs: 30_000, maxMs: 300_000 };

export interface ModelWatchOptions {
  anthropic: ModelAccess;
  proxies: Proxies;
  log: Logger;
  /** Why the model cannot be used; undefined when it answers. */
  onState: (reason: string | undefined) => void;
  /** For tests. */
  away?: Backoff;
}

export class ModelWatch {
  readonly #options: ModelWatchOptions;
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #last: ModelAnswer['state'] | undefined;

  constructor(options: ModelWatchOptions) {
    this.#options = options;
  }

  /** Resolves after the first answer or failure; asks on in the background until the model answers. */
  async start(): Promise<void> {
    const { anthropic, proxies } = this.#options;
    const answer = await probeModel(anthropic, proxies, this.#closing.signal);
    if (this.#closing.signal.aborted) return;
    const { onState, log, away = AWAY } = this.#options;
    const before = this.#last;
    this.#last = answer.state;
    if (answer.state === 'answers') {
      if (before !== undefined) log.info('the model answers');
      onState(undefined);
      return;
    }
    const changed = answer.state !== before;
    this.#failures = changed ? 1 : this.#failures + 1;
    const reason = reasonOf(answer, modelAddress(anthropic));
    const retryMs = backoffMs(this.#failures, answer.state === 'away' ? away : REFUSED);
    onState(reason);
    const said = { retryMs: Math.round(retryMs) };
    // A refused key is said each time: no retry mends it, and what is said once scrolls away.
    if (answer.state === 'refuses-key') log.error(said, `${reason}: check ${keyName(anthropic)}`);
    else if (changed) log.warn(said, `${reason}: check ANTHROPIC_BASE_URL and the network`);
    this.#timer = setTimeout(() => void this.start(), retryMs);
    this.#timer.unref(); // must not keep the process alive
  }

  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
  }
}

function keyName({ apiKey }: ModelAccess): string {
  return apiKey === '' ? 'ANTHROPIC_AUTH_TOKEN' : 'ANTHROPIC_API_KEY';
}

function reasonOf(answer: Exclude<ModelAnswer, { state: 'answers' }>, address: string): string {
  return answer.state === 'away'
    ? `the model at ${address} does not answer (${answer.why})`
    : `the model at ${address} refuses the key (${answer.status})`;
}
