/** Which faults happen, and in which order: drawn from a seed, before anything has started. Pure. */
import { randomFrom } from '../random.js';

export type FaultKind =
  /** A client's socket is cut. */
  | 'cut'
  /** A client stops reading for a while. */
  | 'slow-reader'
  /** A second device joins a session, from its start. */
  | 'second-device'
  /** One client connects ten times in a row. */
  | 'reconnect-storm'
  | 'kill-agent-thread'
  | 'hang-agent-thread'
  | 'kill-docker-thread'
  | 'kill-server'
  | 'stop-server'
  | 'restart-redis'
  | 'pause-redis'
  | 'kill-redis'
  | 'restart-dockerd'
  | 'kill-container'
  | 'cut-model'
  | 'model-overloaded'
  /** A second server on the same Redis opens a session of the first one. */
  | 'take-session';

export interface Fault {
  readonly kind: FaultKind;
  /** 0…1: whom it strikes, and which variant of the fault. */
  readonly draw: number;
  /** Until the next fault, ms. */
  readonly pauseMs: number;
}

/** How often, of 1,000. A fault that costs everybody seconds is rare, or no turn would ever end. */
const WEIGHTS: Record<FaultKind, number> = {
  cut: 330,
  'slow-reader': 80,
  'second-device': 60,
  'reconnect-storm': 30,
  'cut-model': 140,
  'model-overloaded': 80,
  'kill-container': 75,
  'kill-agent-thread': 75,
  'hang-agent-thread': 10,
  'kill-docker-thread': 30,
  'kill-server': 30,
  'stop-server': 10,
  'restart-redis': 12,
  'pause-redis': 12,
  'kill-redis': 12,
  'take-session': 10,
  'restart-dockerd': 4,
};
const MAX_PAUSE_MS = 400;

/** As many of each as its weight says, at least one, in an order that the seed decides. */
export function planFaults(seed: number, events: number): Fault[] {
  const random = randomFrom(seed);
  const total = Object.values(WEIGHTS).reduce((sum, weight) => sum + weight, 0);
  const kinds = Object.entries(WEIGHTS).flatMap(([kind, weight]) =>
    Array.from({ length: Math.max(1, Math.round((weight / total) * events)) }, () => kind as FaultKind),
  );
  while (kinds.length > events && kinds.includes('cut')) kinds.splice(kinds.indexOf('cut'), 1);
  while (kinds.length < events) kinds.push('cut');
  return kinds
    .map((kind) => ({ kind, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ kind }) => ({ kind, draw: random(), pauseMs: Math.round(random() * MAX_PAUSE_MS) }));
}
