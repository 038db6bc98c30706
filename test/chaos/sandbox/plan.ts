/** What happens in a chaos run, and in which order: drawn from a seed, before anything has started. Pure. */

export type EventKind =
  /** A new session writes its marker. */
  | 'open'
  /** A session reads its marker, which a person allows; or writes a newer one, which a rule does. */
  | 'read'
  | 'write'
  | 'delete'
  /** In the middle of a call, or while its sandbox is on its way. */
  | 'cancel'
  /** The socket is cut: while a tool is asked for, while one runs, or between calls. */
  | 'cut'
  /** Nothing of this lane's, until somebody has hibernated. */
  | 'rest'
  | 'kill-container'
  | 'pause-container'
  | 'remove-container'
  /** What happens each minute by itself. */
  | 'reconcile'
  | 'kill-docker-thread'
  | 'kill-dockerd'
  | 'stop-dockerd'
  | 'kill-engine'
  | 'stop-engine';

export interface ChaosEvent {
  readonly kind: EventKind;
  /** 0…1: which of the sessions or containers that are there then, and which way. */
  readonly draw: number;
}

/** As many of each as stand here, in an order of the seed's. */
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
/** Each somewhere in its part of the run, 0…1. The last engine sees all that can happen to one, so that its leaks show. */
const ONCE: readonly (readonly [kind: EventKind, from: number, to: number])[] = [
  ['kill-docker-thread', 0.05, 0.2],
  ['kill-engine', 0.1, 0.25],
  ['kill-dockerd', 0.2, 0.35],
  ['stop-engine', 0.35, 0.45],
  ['kill-docker-thread', 0.4, 0.5],
  ['kill-engine', 0.5, 0.6],
  ['stop-dockerd', 0.65, 0.75],
  ['kill-docker-thread', 0.7, 0.8],
  ['kill-dockerd', 0.8, 0.9],
  ['kill-docker-thread', 0.85, 0.95],
];

export function planChaos(seed: number): ChaosEvent[] {
  const random = randomFrom(seed);
  const placed = Object.entries(OFTEN).flatMap(([kind, count]) =>
    Array.from({ length: count }, () => ({ at: random(), kind: kind as EventKind })),
  );
  for (const [kind, from, to] of ONCE) placed.push({ at: from + random() * (to - from), kind });
  return placed.sort((a, b) => a.at - b.at).map(({ kind }) => ({ kind, draw: random() }));
}

/** mulberry32: 32 bits of state, the same numbers on every machine. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The item that a number 0…1 stands for. */
export function pick<T>(items: readonly T[], draw: number): T | undefined {
  return items[Math.floor(draw * items.length)];
}
