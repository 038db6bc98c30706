/** Which deaths a run has, and in which order: drawn from a seed, before anything has started. Pure. */
import { randomFrom } from '../random.js';

export type DeathKind =
  /** Of a session's container: `docker kill`, `docker rm -f`, `docker restart`, SIGKILL to its server, too much memory. */
  | 'kill'
  | 'remove'
  | 'restart'
  | 'kill-inside'
  | 'hog'
  /** Of everybody's. */
  | 'stop-dockerd'
  | 'kill-dockerd'
  | 'kill-docker-thread'
  | 'kill-server'
  | 'stop-server'
  /** Fairlead, Redis, dockerd, shims and containers at once. */
  | 'power';

export interface Death {
  readonly kind: DeathKind;
  /** 0…1: whose container. */
  readonly draw: number;
}

/** Of a hundred. */
const OFTEN: Record<DeathKind, number> = {
  kill: 20,
  remove: 16,
  restart: 8,
  'kill-inside': 16,
  hog: 6,
  'stop-dockerd': 6,
  'kill-dockerd': 8,
  'kill-docker-thread': 4,
  'kill-server': 6,
  'stop-server': 2,
  power: 8,
};

/** Each kind once at least, if `deaths` has room for it. */
export function planDeaths(seed: number, deaths: number): Death[] {
  const random = randomFrom(seed);
  const kinds = Object.keys(OFTEN) as DeathKind[];
  const hundred = kinds.flatMap((kind) => Array.from({ length: OFTEN[kind] }, () => kind));
  const drawn = [...kinds, ...Array.from({ length: Math.max(0, deaths - kinds.length) }, () => undefined)]
    .slice(0, deaths)
    .map((kind) => kind ?? hundred[Math.floor(random() * hundred.length)] ?? 'kill');
  return drawn
    .map((kind) => ({ kind, at: random(), draw: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ kind, draw }) => ({ kind, draw }));
}
