/** Which faults happen, and in which order: drawn from a seed, before anything has started. Pure. */
import { pick, randomFrom } from '../sandbox/plan.js';

export type FaultKind =
  /** A client's socket goes without a word. */
  | 'cut'
  /** A client stops reading for a while. */
  | 'slow-reader'
  /** A second device joins a session, from its start. */
  | 'second-device'
  /** One client comes ten times in a moment. */
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
  /** A second server on the same Redis opens somebody's session. */
  | 'take-session';

export interface Fault {
  readonly kind: FaultKind;
  /** 0…1: whom it strikes, and how. */
  readonly draw: number;
  /** Before the next one, ms. */
  readonly pauseMs: number;
}

/** How often, of 1,000. What costs everybody seconds is rare, or nothing else would ever get done. */
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

/** As many of each as their weight says, at least one, in an order of the seed's. */
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

export { pick, randomFrom };
