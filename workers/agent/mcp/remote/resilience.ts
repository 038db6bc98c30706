/** Retries, circuit breaker and health of one `url` server. Agent threads. */
import {
  BrokenCircuitError,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  DelegateBackoff,
  ExponentialBackoff,
  handleAll,
  handleWhen,
  retry,
  type FailureReason,
} from 'cockatiel';
import { backoffMs } from '../../../../src/shared/backoff.js';
import { errorToData, FairleadError, publicMessage } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import type { ServerState } from '../../contract/mcp.js';
import { HealthTracker, type Circuit } from '../host/health-tracker.js';
import { bounded, isOutage, mayRepeat, remoteFailure } from '../../http/failures.js';

const RETRIES = 2;
const RETRY_BACKOFF = { firstMs: 200, maxMs: 1_000, jitter: 0.5 };
/** A longer wait than this is reported to the caller instead. */
const MAX_WAIT_MS = 10_000;
const BREAK_AFTER = 5;
const FIRST_BREAK_MS = 1_000;
const MAX_BREAK_MS = 30_000;
const RETRY_AFTER_MS = 5_000;

const CIRCUITS: Record<CircuitState, Circuit> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.HalfOpen]: 'half-open',
  [CircuitState.Open]: 'open',
  [CircuitState.Isolated]: 'open',
};

export interface ResilienceOptions {
  server: string;
  log: Logger;
  /** A cheap request. Rejects when the server is unreachable. */
  probe: () => Promise<void>;
}

/** A refusal is a response too: to the breaker the server is healthy. */
type Outcome<T> = { value: T } | { error: unknown };

export class Resilience {
  readonly #options: ResilienceOptions;
  readonly #breaker = circuitBreaker(handleAll, {
    breaker: new ConsecutiveBreaker(BREAK_AFTER),
    halfOpenAfter: new ExponentialBackoff({ initialDelay: FIRST_BREAK_MS, maxDelay: MAX_BREAK_MS }),
  });
  readonly #retry = { safe: retries(true), unsafe: retries(false) };
  readonly health = new HealthTracker({ onChange: (state, before) => this.#tell(state, before) });
  #probing: Promise<void> | undefined;
  /** For the log alone: the text may quote a user's request. */
  #lastFailure = '';

  constructor(options: ResilienceOptions) {
    this.#options = options;
    this.#breaker.onStateChange((state) => this.health.circuitIs(CIRCUITS[state]));
  }

  /** Retries what is safe to retry; a `tools/call` only when it was not sent. ERR_UNAVAILABLE while the breaker is open. */
  async run<T>(method: string, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    const policy = method === 'tools/call' ? this.#retry.unsafe : this.#retry.safe;
    return policy.execute(async () => valueOf(await this.#throughBreaker(method, attempt)), signal);
  }

  /** Probes now, unless the breaker is open; joins a running probe. Rejects when the server is unreachable. */
  probe(): Promise<void> {
    this.#probing ??= this.#throughBreaker('ping', this.#options.probe, false)
      .then(valueOf)
      .finally(() => (this.#probing = undefined));
    return this.#probing;
  }

  async #throughBreaker<T>(method: string, attempt: () => Promise<T>, probeFirst = true): Promise<Outcome<T>> {
    // A cheap probe finds out whether it is back: a call may take minutes, and all others would wait for it.
    if (probeFirst && this.#breaker.state !== CircuitState.Closed) await this.probe();
    try {
      return await this.#breaker.execute(async (): Promise<Outcome<T>> => {
        try {
          const value = await attempt();
          this.health.succeeded();
          return { value };
        } catch (error) {
          if (isOutage(error, method)) {
            this.#lastFailure = bounded(publicMessage(errorToData(error)));
            this.health.failed(error);
            throw error;
          }
          return { error };
        }
      });
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) throw error;
      const { server } = this.#options;
      const text = `${server} has failed several times in a row; the next attempt is in a moment: ${this.health.current.lastError ?? ''}`;
      throw new FairleadError('ERR_UNAVAILABLE', text, { cause: error, retryAfterMs: RETRY_AFTER_MS });
    }
  }

  #tell(state: ServerState, before: ServerState): void {
    const { log, server } = this.#options;
    if (state === 'down' && before !== 'reconnecting') {
      log.warn({ server, err: this.#lastFailure }, 'mcp server: down');
    }
    if (state === 'healthy' && before !== 'degraded') log.info({ server }, 'mcp server: reachable again');
  }
}

function valueOf<T>(outcome: Outcome<T>): T {
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

function retries(safe: boolean) {
  return retry(
    handleWhen((error) => mayRepeat(error, safe) && (remoteFailure(error)?.waitMs ?? 0) <= MAX_WAIT_MS),
    {
      maxAttempts: RETRIES,
      backoff: new DelegateBackoff<{ attempt: number; result: FailureReason<unknown> }>(({ attempt, result }) => {
        const asked = 'error' in result ? (remoteFailure(result.error)?.waitMs ?? 0) : 0;
        return asked + backoffMs(attempt, RETRY_BACKOFF);
      }),
    },
  );
}
