/**
 * Every call to Docker: deadline, retries with backoff and jitter, bulkhead, circuit breaker and metrics. Docker thread.
 *
 * 20 calls run at once and 100 wait. A call in backoff holds no slot, so failing calls do not block each other. Removals
 * have slots of their own and ignore the breaker: containers of 20 hanging starts can be removed while they hang.
 */
import {
  BrokenCircuitError,
  bulkhead,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleWhen,
  retry,
} from 'cockatiel';
import { untilAborted } from '../../../src/shared/abort.js';
import { callDocker, DockerTimeout, type DockerCallOptions } from '../../../src/shared/docker-client.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter, gauge, histogram, SECONDS_SLOW } from '../../../src/shared/metrics.js';
import { isDaemonFault, isRetryable, statusOf } from './docker-errors.js';
import type { BreakerState } from '../contract/messages.js';

const RETRIES = 2;
const BREAK_AFTER = 5;
export const BREAK_MS = 5_000;
const AT_ONCE = 20;
const WAITING = 100;
const REMOVALS_AT_ONCE = 4;
/** More than any host has containers. A refused removal is left to the next reconcile. */
const REMOVALS_WAITING = 10_000;

const operations = counter('fairlead_docker_operations_total', 'Calls to Docker, retries not counted', [
  'operation',
  'outcome',
]);
const seconds = histogram(
  'fairlead_docker_operation_seconds',
  'Calls to Docker, retries included',
  [0.005, 0.02, ...SECONDS_SLOW],
  ['operation'],
);
const retries = counter('fairlead_docker_retries_total', 'Retries of calls to Docker', ['operation']);
const running = gauge('fairlead_docker_operations_running', 'Running calls to Docker, of at most 20');
const waiting = gauge('fairlead_docker_operations_waiting', 'Waiting calls to Docker, of at most 100');
const breakerOpen = gauge('fairlead_docker_breaker_open', '1 while calls are refused, 0.5 while half open, else 0');
breakerOpen.set(0);

export type OperationName =
  'create' | 'attach' | 'start' | 'stop' | 'rename' | 'update' | 'exec' | 'inspect' | 'stats' | 'list' | 'remove';

export interface OperationOptions extends DockerCallOptions {
  operation: OperationName;
}

export interface Attempt {
  /** 0 for the first try. */
  attempt: number;
  signal: AbortSignal;
}

export class Operations {
  readonly #breaker = circuitBreaker(handleWhen(isDaemonFault), {
    breaker: new ConsecutiveBreaker(BREAK_AFTER),
    halfOpenAfter: BREAK_MS,
  });
  readonly #slots = bulkhead(AT_ONCE, WAITING);
  readonly #removals = bulkhead(REMOVALS_AT_ONCE, REMOVALS_WAITING);

  constructor(log: Logger, onBreaker: (state: BreakerState) => void = () => undefined) {
    this.#breaker.onStateChange((state) => {
      onBreaker(state === CircuitState.Closed ? 'closed' : state === CircuitState.HalfOpen ? 'half-open' : 'open');
      breakerOpen.set(state === CircuitState.Closed ? 0 : state === CircuitState.HalfOpen ? 0.5 : 1);
      if (state === CircuitState.Open) log.warn('docker: circuit breaker open, calls are refused for a moment');
      if (state === CircuitState.Closed) log.info('docker: circuit breaker closed');
    });
  }

  /** Tries at most three times within the deadline, so `call` must be idempotent. Rejects with Docker's error. */
  run<T>(options: OperationOptions, call: (attempt: Attempt) => Promise<T>): Promise<T> {
    // The deadline is inside the breaker, so that a daemon that hangs counts as a failure.
    return this.#tries(options, isRetryable, (attempt) =>
      // Its slot is free again at the deadline, whatever the call still does.
      this.#inSlot(() => this.#breaker.execute(() => untilAborted(attempt.signal, () => call(attempt)))),
    );
  }

  /**
   * Like `run`, for removals and their listings: in slots of their own and without the breaker. A removal that Docker has
   * under way (409) is retried.
   */
  remove<T>(
    { operation = 'remove', ...options }: Omit<OperationOptions, 'operation'> & { operation?: 'remove' | 'list' },
    call: (attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    return this.#tries({ ...options, operation }, isRemovalRetryable, (attempt) =>
      this.#removals.execute(() => untilAborted(attempt.signal, () => call(attempt))),
    );
  }

  async #inSlot<T>(call: () => Promise<T>): Promise<T> {
    waiting.inc();
    let runs = false;
    try {
      return await this.#slots.execute(() => {
        waiting.dec();
        running.inc();
        runs = true;
        return call();
      });
    } finally {
      (runs ? running : waiting).dec();
    }
  }

  async #tries<T>(
    options: OperationOptions,
    again: (error: unknown) => boolean,
    call: (attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    const { operation } = options;
    const stop = seconds.startTimer({ operation });
    const tries = retry(handleWhen(again), {
      maxAttempts: RETRIES,
      backoff: new ExponentialBackoff({ initialDelay: 100, maxDelay: 2_000 }),
    });
    tries.onRetry(() => retries.inc({ operation }));
    let outcome = 'ok';
    try {
      return await callDocker(options, (signal) =>
        tries.execute(({ attempt }) => {
          signal.throwIfAborted(); // the deadline may pass during the backoff
          return call({ attempt, signal });
        }),
      );
    } catch (error) {
      outcome = outcomeOf(error, options.signal);
      throw error;
    } finally {
      stop();
      operations.inc({ operation, outcome });
    }
  }
}

function isRemovalRetryable(error: unknown): boolean {
  return isRetryable(error) || statusOf(error) === 409;
}

function outcomeOf(error: unknown, signal: AbortSignal | undefined): string {
  if (signal?.aborted) return 'cancelled';
  if (error instanceof DockerTimeout) return 'timeout';
  if (error instanceof BrokenCircuitError) return 'breaker_open';
  return isDaemonFault(error) ? 'failed' : 'refused';
}
