/** One slip that `npm run mutants` puts into the built code, and how. Pure. */

export interface Mutant {
  /** Seen from dist. */
  file: string;
  /** Stands in the file exactly once. */
  find: string;
  replace: string;
  /** Unit tests, seen from dist/test. */
  tests: readonly string[];
}

type Slip = readonly [find: string, replace: string];

export function slips(file: string, tests: readonly string[], ...edits: readonly Slip[]): Mutant[] {
  return edits.map(([find, replace]) => ({ file, find, replace, tests }));
}

export const front = (...names: string[]): string[] => names.map((name) => `src/front/${name}.test.js`);
export const store = (...names: string[]): string[] => names.map((name) => `workers/agent/store/${name}.test.js`);
export const turn = (...names: string[]): string[] => names.map((name) => `workers/agent/turn/${name}.test.js`);
export const session = (...names: string[]): string[] => names.map((name) => `workers/agent/session/${name}.test.js`);
export const model = (...names: string[]): string[] => names.map((name) => `workers/agent/model/${name}.test.js`);
export const workspace = (...names: string[]): string[] => names.map((name) => `workers/workspace/${name}.test.js`);

/** The file with the slip in it. Throws when `find` does not stand there exactly once: then the list is out of date. */
export function applyMutant({ file, find, replace }: Mutant, text: string): string {
  const count = text.split(find).length - 1;
  if (count !== 1) throw new Error(`edit does not apply: «${find}» stands ${count} times in dist/${file}`);
  return text.replace(find, () => replace);
}
