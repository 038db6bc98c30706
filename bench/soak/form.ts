/** How long, how many, and in which sandboxes: the short form and the long one. */

export interface Form {
  driver: 'process' | 'docker';
  people: number;
  warmUpMs: number;
  /** So often they all come, and all go. */
  waves: number;
  waveMs: number;
  sampleEveryMs: number;
  thinkMs: number;
  awayMs: number;
  toolShare: number;
  /** A part of the server's configuration. */
  sandbox: Record<string, unknown>;
}

/** A sandbox that is a process takes a fifth of a second of processor time to start: few turns may want one. */
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

/** Who is away for longer than the sandboxes wait finds theirs hibernated. */
export const FULL: Form = {
  driver: 'docker',
  people: 12,
  warmUpMs: 600_000,
  waves: 11,
  waveMs: 600_000,
  sampleEveryMs: 20_000,
  thinkMs: 2_000,
  awayMs: 20_000,
  toolShare: 0.3,
  sandbox: { hibernateAfterMs: 5_000, pool: { min: 2, max: 6 } },
};
