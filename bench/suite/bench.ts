/** What a bench of the suite is, and what it finds: the shape of a file in bench/results. Shapes, and whether an aim is met. */

/** `progress`: what is under way, and how far (0 to 1) where that is known. */
export interface BenchContext {
  /** The long form. */
  full: boolean;
  /** How long, for a long form that may be as long as one wants; else its own. */
  hours?: number;
  /** Aborts when the bench is to end: what it has started goes, and it rejects. */
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

/** The first column is words, the others are figures. */
export interface Table {
  title: string;
  head: string[];
  rows: (string | number)[][];
}

export interface Plot {
  title: string;
  x: string;
  y: string;
  /** `log` where the x-values double. */
  scale?: 'linear' | 'log';
  lines: { name: string; points: [x: number, y: number][] }[];
}

export interface Findings {
  /** What a run needs to be done again. */
  settings: Record<string, string | number | boolean>;
  ratios: Ratio[];
  tables: Table[];
  plots: Plot[];
  /** Why it cannot be trusted, or where an aim is out of reach and why; in a sentence each. */
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
  /** There was something in the work tree that the commit does not have. */
  dirty: boolean;
  /** ISO 8601. */
  startedAt: string;
  seconds: number;
}

export function isMet({ value, better, aim }: Ratio): boolean | undefined {
  if (aim === undefined || !Number.isFinite(value)) return undefined;
  return better === 'higher' ? value >= aim : value <= aim;
}
