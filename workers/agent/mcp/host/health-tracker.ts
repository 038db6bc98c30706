/** How one server is doing: the one state machine for it, whoever sees its requests succeed and fail. Agent threads. */
import type { ProtocolEra } from '@modelcontextprotocol/client';
import { ERROR_TABLE, errorToData, publicMessage } from '../../../../src/shared/errors.js';
import type { ServerHealth, ServerState } from '../../contract/mcp.js';
import { causes } from '../../http/causes.js';
import { ServerEnded } from './server-ended.js';

/** The weight of the newest latency in the mean. */
const LATENCY_WEIGHT = 0.2;

/** A sentence, and the end of what the server has printed. */
const MAX_TEXT = 800;

/** Of a circuit breaker. open: it refuses requests; half-open: one request tries whether the server is back. */
export type Circuit = 'closed' | 'open' | 'half-open';

export interface HealthTrackerOptions {
  /** Failures in a row after which the server is down. Absent: its circuit breaker says so. */
  downAfter?: number;
  onChange?: (state: ServerState, before: ServerState) => void;
}

export class HealthTracker {
  readonly #downAfter: number;
  readonly #onChange: HealthTrackerOptions['onChange'];
  #failures = 0;
  #circuit: Circuit = 'closed';
  #state: ServerState = 'healthy';
  #since = Date.now();
  #lastError: string | undefined;
  #latencyMs: number | undefined;
  #era: ProtocolEra | undefined;

  constructor({ downAfter = Infinity, onChange }: HealthTrackerOptions = {}) {
    this.#downAfter = downAfter;
    this.#onChange = onChange;
  }

  get current(): ServerHealth {
    return {
      state: this.#state,
      since: this.#since,
      ...(this.#era ? { era: this.#era } : {}),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
      ...(this.#latencyMs === undefined ? {} : { latencyMs: Math.round(this.#latencyMs) }),
    };
  }

  succeeded(era?: ProtocolEra): void {
    this.#era = era ?? this.#era;
    this.#failures = 0;
    this.#lastError = undefined;
    this.#judge();
  }

  /**
   * `lastError` is shown to every user, and the text of an error may quote a request or an answer of one. So only its code is
   * kept, unless the request was nobody's (`isNobodys`), such as the list for all users.
   */
  failed(error: unknown, { isNobodys = false }: { isNobodys?: boolean } = {}): void {
    this.#failures++;
    this.#lastError = isNobodys ? publicMessage(errorToData(error)).slice(0, MAX_TEXT) : codeText(error);
    this.#judge();
  }

  measured(latencyMs: number): void {
    const mean = this.#latencyMs ?? latencyMs;
    this.#latencyMs = mean + LATENCY_WEIGHT * (latencyMs - mean);
  }

  circuitIs(circuit: Circuit): void {
    this.#circuit = circuit;
    this.#judge();
  }

  #judge(): void {
    const before = this.#state;
    const state = this.#stateNow();
    if (state === before) return;
    this.#state = state;
    this.#since = Date.now();
    this.#onChange?.(state, before);
  }

  #stateNow(): ServerState {
    if (this.#circuit === 'half-open') return 'reconnecting';
    if (this.#circuit === 'open' || this.#failures >= this.#downAfter) return 'down';
    return this.#failures > 0 ? 'degraded' : 'healthy';
  }
}

/** Our code with its meaning, and how the process ended, the system's code or the HTTP status where the error has one. */
function codeText(error: unknown): string {
  const { code } = errorToData(error);
  const details = causes(error).flatMap((cause) => {
    if (cause instanceof ServerEnded) return [cause.how.slice(0, MAX_TEXT)];
    const { code: other, status } = cause as { code?: unknown; status?: unknown };
    const isSystems = typeof other === 'string' && /^[A-Z_]{4,40}$/.test(other) && !Object.hasOwn(ERROR_TABLE, other);
    return [...(isSystems ? [other] : []), ...(typeof status === 'number' ? [`HTTP ${status}`] : [])];
  });
  const [detail] = details;
  return `${code}: ${ERROR_TABLE[code].title}${detail === undefined ? '' : ` (${detail})`}`;
}
