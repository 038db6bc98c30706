/** How much is measured in the two forms. */
import type { Extent } from './messages.js';

export interface Plan {
  connections: readonly number[];
  /** Of all servers in turn. */
  rounds: number;
  /** Of a round of requests that are answered at once. */
  seconds: number;
  /** Turns of each connection in a round: none is cut, since it would run on and take from the next. */
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

/** Compared at this many: it is in both forms. */
export const COMPARED_AT = 100;
/** What a turn takes longer is compared where nothing waits for a processor. */
export const LATENCY_AT = 10;

/** Enough for the code of a turn to be compiled before it is measured. */
export const WARM_UP_CONNECTIONS = 100;
export const WARM_UP: { quick: Extent; turn: Extent } = { quick: { seconds: 0.5 }, turn: { each: 2 } };
