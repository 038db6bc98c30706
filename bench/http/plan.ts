/** Sizes of the short and the full form. */
import type { Extent } from './messages.js';

export interface Plan {
  connections: readonly number[];
  /** In each round all servers take a turn. */
  rounds: number;
  /** Duration of a round of requests that are answered at once. */
  seconds: number;
  /** Turns of each connection in a round. None is cut: it would run on and slow the next round. */
  turnsEach: (connections: number) => number;
}

export const SHORT: Plan = {
  connections: [1, 10, 100],
  rounds: 2,
  seconds: 0.6,
  turnsEach: (connections) => (connections === 1 ? 5 : connections <= 10 ? 3 : 2),
};

export const FULL: Plan = {
  connections: [1, 10, 100, 500],
  rounds: 3,
  seconds: 4,
  turnsEach: (connections) => (connections === 1 ? 40 : connections <= 10 ? 20 : 10),
};

/** Rates are compared at this number of connections, which both forms have. */
export const COMPARED_AT = 100;
/** Latencies are compared at this number, where nothing waits for a processor. */
export const LATENCY_AT = 10;

/** Enough to compile the code of a turn before it is measured. */
export const WARM_UP_CONNECTIONS = 100;
export const WARM_UP: { quick: Extent; turn: Extent } = { quick: { seconds: 0.5 }, turn: { each: 2 } };
