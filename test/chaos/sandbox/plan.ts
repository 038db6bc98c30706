/** What happens to sandboxes and their users, and in which order: drawn from a seed, before anything has started. Pure. */
import { randomFrom } from '../random.js';

export type EventKind =
  /** A new session writes its marker. */
  | 'open'
  /** A session reads its marker, which its user allows; or writes a newer one, which a rule allows. */
  | 'read'
  | 'write'
  | 'delete'
  /** In the middle of a call, or while the session's sandbox starts. */
  | 'cancel'
  /** The socket is cut: while a tool is asked for, while one runs, or between calls. */
  | 'cut'
  /** One of the parallel workers waits until a session has hibernated. */
  | 'rest'
  | 'kill-container'
  | 'pause-container'
  | 'remove-container'
  /** The reconciliation that otherwise runs each minute. */
  | 'reconcile'
  | 'kill-docker-thread'
  | 'kill-dockerd'
  | 'stop-dockerd'
  | 'kill-server'
  | 'stop-server';

export interface SandboxEvent {
  readonly kind: EventKind;
  /** 0…1: which session or container of those that exist then, and which variant of the event. */
  readonly draw: number;
}

/** How many of each kind a run of EVENTS has. */
const OFTEN: Partial<Record<EventKind, number>> = {
  open: 40,
  read: 44,
  write: 26,
  delete: 28,
  cancel: 16,
  cut: 20,
  'kill-container': 10,
  'pause-container': 4,
  'remove-container': 9,
  reconcile: 5,
  rest: 10,
};
/** Once each, somewhere in its part of the run, 0…1. The last server sees every other fault, so that its leaks show. */
const ONCE: readonly (readonly [kind: EventKind, from: number, to: number])[] = [
  ['kill-docker-thread', 0.05, 0.2],
  ['kill-server', 0.1, 0.25],
  ['kill-dockerd', 0.2, 0.35],
  ['stop-server', 0.35, 0.45],
  ['kill-docker-thread', 0.4, 0.5],
  ['kill-server', 0.5, 0.6],
  ['stop-dockerd', 0.65, 0.75],
  ['kill-docker-thread', 0.7, 0.8],
  ['kill-dockerd', 0.8, 0.9],
  ['kill-docker-thread', 0.85, 0.95],
];

export const EVENTS = Object.values(OFTEN).reduce((sum, count) => sum + count, ONCE.length);

/** About `events` of them, in an order that the seed decides. */
export function planSandboxChaos(seed: number, events: number): SandboxEvent[] {
  const random = randomFrom(seed);
  const placed = Object.entries(OFTEN).flatMap(([kind, count]) =>
    Array.from({ length: Math.max(1, Math.round((count / EVENTS) * events)) }, () => ({
      at: random(),
      kind: kind as EventKind,
    })),
  );
  for (const [kind, from, to] of ONCE) placed.push({ at: from + random() * (to - from), kind });
  return placed.sort((a, b) => a.at - b.at).map(({ kind }) => ({ kind, draw: random() }));
}
