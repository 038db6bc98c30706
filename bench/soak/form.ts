/** Durations, numbers and sandboxes of the short and the full form. */

export interface Form {
  driver: 'process' | 'docker';
  people: number;
  warmUpMs: number;
  /** How often all users come and go. */
  waves: number;
  waveMs: number;
  sampleEveryMs: number;
  thinkMs: number;
  awayMs: number;
  toolShare: number;
  /** A part of the server's configuration. */
  sandbox: Record<string, unknown>;
}

/** Few turns want a sandbox: one that is a process takes a fifth of a second of processor time to start. */
export const SHORT: Form = {
  driver: 'process',
  people: 8,
  warmUpMs: 10_000,
  waves: 4,
  waveMs: 8_000,
  sampleEveryMs: 1_000,
  thinkMs: 200,
  awayMs: 300,
  toolShare: 0.12,
  sandbox: {},
};

const WARM_UP_MS = 600_000;
const WAVE_MS = 300_000;
const HOURS = 2;
/** A line needs as many points. */
const FEWEST_WAVES = 5;

/** Some users stay away for longer than a sandbox waits, and find theirs hibernated. */
const FULL: Omit<Form, 'waves'> = {
  driver: 'docker',
  people: 12,
  warmUpMs: WARM_UP_MS,
  waveMs: WAVE_MS,
  sampleEveryMs: 20_000,
  thinkMs: 2_000,
  awayMs: 20_000,
  toolShare: 0.3,
  sandbox: { hibernateAfterMs: 5_000, pool: { min: 2, max: 6 } },
};

export function fullForm(hours = HOURS): Form {
  const waves = Math.round((hours * 3_600_000 - WARM_UP_MS) / WAVE_MS);
  return { ...FULL, waves: Math.max(FEWEST_WAVES, waves) };
}
