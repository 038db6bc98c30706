/** What both kinds of chaos run are told, and what they answer. Pure. */
import type { World } from './world.js';

const ERROR = 50;

export interface ChaosOptions {
  seed: number;
  events: number;
  /** How many users talk at the same time. */
  people: number;
  onTeardown: (end: () => Promise<unknown>) => void;
  /** Told how many events have happened. */
  onProgress?: (done: number, of: number) => void;
}

export interface ChaosReport<Figures = unknown> {
  seed: number;
  /** In words; empty when nothing was lost, repeated, invented or left behind. */
  violations: string[];
  /** How many events of each kind happened. */
  events: Record<string, number>;
  figures: Figures;
  /** What the servers logged as errors, and as warnings of Node: JSON lines. */
  complaints: string[];
  seconds: number;
}

/** Every plan takes the store, Docker or the model away. */
const OUTAGE = /^an outage has begun: (store|docker|model)$/;

/** Without those whose text is `expected`. */
export function complaintsOf(world: World, expected = /^(?!)/): string[] {
  const bad = world.logs.filter(
    ({ level, msg }) =>
      (level >= ERROR || level === 0 || /Warning/.test(msg)) && !OUTAGE.test(msg) && !expected.test(msg),
  );
  return bad.map((line) => JSON.stringify(line).slice(0, 600));
}

export function countIn(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
