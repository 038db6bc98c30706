/** A bench of the suite, its findings, and the shape of a file in bench/results. */

/** `progress` tells what the bench does now, and its share of the whole (0 to 1) where that is known. */
export interface BenchContext {
  /** The full form instead of the short one. */
  full: boolean;
  /** How long a full form lasts; without it the bench decides. */
  hours?: number;
  /** At most so many simulated people, where the bench goes up to a number; without it the bench decides. */
  people?: number;
  /** Aborts when the bench must end: it ends what it has started, and rejects. */
  signal: AbortSignal;
  progress: (doing: string, share?: number) => void;
}

export interface Bench {
  name: string;
  /** The one question that it answers. */
  question: string;
  run: (context: BenchContext) => Promise<Findings>;
}

/** A figure that bench:compare matches between commits. */
export interface Ratio {
  /** Unique in its bench, and the same in every commit: names may change. */
  id: string;
  /** For people: `Frames per second, relative to bare uWebSockets.js`. */
  name: string;
  value: number;
  /** `×` for Fairlead's value divided by the alternative's; otherwise the value's unit: `KiB`, `ms`, `bytes/h`. */
  unit: string;
  better: 'higher' | 'lower';
  /** The value that is good enough, if there is an aim. */
  aim?: number;
}

/** The first column holds words, the others figures. */
export interface Table {
  title: string;
  head: string[];
  rows: (string | number)[][];
}

export interface Plot {
  title: string;
  x: string;
  y: string;
  /** `log` for x-values that grow by factors. */
  scale?: 'linear' | 'log';
  lines: { name: string; points: [x: number, y: number][] }[];
}

export interface Findings {
  /** What is needed to repeat the run. */
  settings: Record<string, string | number | boolean>;
  ratios: Ratio[];
  tables: Table[];
  plots: Plot[];
  /** Why figures cannot be trusted, or why an aim was missed, a sentence each. */
  doubts: string[];
}

export interface Machine {
  cpus: number;
  model: string;
  memoryGib: number;
  kernel: string;
  node: string;
}

export interface BenchResult extends Findings {
  format: 1;
  bench: string;
  question: string;
  form: 'short' | 'full';
  machine: Machine;
  commit: string;
  /** The work tree had changes that the commit does not have. */
  dirty: boolean;
  /** ISO 8601. */
  startedAt: string;
  seconds: number;
}

export function isMet({ value, better, aim }: Ratio): boolean | undefined {
  if (aim === undefined || !Number.isFinite(value)) return undefined;
  return better === 'higher' ? value >= aim : value <= aim;
}
