/** Sizes of the forms. */

export interface Form {
  /** People who come at once; the last step is `most`. */
  steps: readonly number[];
  /** At most so many; memory may allow fewer. */
  most: number;
  /** How often the first steps' people come, so that there are enough arrivals. */
  arrivals: number;
  /** People who come at once in the step of the most. */
  atOnce: number;
  /** People whose first answer needs a tool. */
  toolPeople: number;
  talk: { ms: number; thinkMs: number };
  /** With the most people: one reads an answer before the next message. */
  crowd: { ms: number; thinkMs: number };
}

/** This share of the machine's memory stays free. */
export const RESERVE = 0.15;

export function formOf(full: boolean, people: number | undefined): Form {
  const common = { steps: [1, 10], atOnce: 10 };
  if (!full) {
    return {
      ...common,
      most: people ?? 20,
      arrivals: 2,
      toolPeople: 5,
      talk: { ms: 4_000, thinkMs: 200 },
      crowd: { ms: 6_000, thinkMs: 2_000 },
    };
  }
  return {
    ...common,
    most: people ?? 500,
    arrivals: 5,
    toolPeople: 10,
    talk: { ms: 30_000, thinkMs: 200 },
    crowd: { ms: 60_000, thinkMs: 10_000 },
  };
}
