/** Compares two commits: builds a work tree of each, runs the benches of both in turn, and removes the work trees. */
import { isBenchName } from '../suite/registry.js';
import { Progress } from '../suite/terminal.js';
import { benchesOf, differ } from './git.js';
import { takeTurns, type Contender, type RunBench, type Turns, type TurnsTaken } from './turns.js';
import { Worktrees } from './worktrees.js';

export interface Commit {
  name: string;
  hash: string;
}

/** Parts of the set-up that both commits share, whatever they say. */
const SHARED = [
  {
    paths: ['package-lock.json', 'package.json'],
    what: 'the two commits want different packages: both run with those installed here',
  },
  { paths: ['workers/workspace'], what: 'the sandbox image differs: both run with the image of this machine' },
];

export interface CommitsCompared extends TurnsTaken {
  /** Differences between the two that were not measured, a sentence each. */
  notes: string[];
}

/** `benches`: empty for all that both commits have. */
export async function compareCommits(
  root: string,
  [a, b]: readonly [Commit, Commit],
  turns: Turns,
  signal: AbortSignal,
  run?: RunBench,
): Promise<CommitsCompared> {
  const benches = chosen(await benchesOf(root, a.hash), await benchesOf(root, b.hash), turns.benches);
  const notes: string[] = [];
  for (const { paths, what } of SHARED) if (await differ(root, a.hash, b.hash, ...paths)) notes.push(what);
  const worktrees = await Worktrees.open(root);
  const progress = new Progress('compare');
  try {
    const contender = async (letter: Contender['letter'], { name, hash }: Commit): Promise<Contender> => {
      progress.show(`building ${letter}: ${name}`);
      const path = await worktrees.add(letter, hash);
      signal.throwIfAborted();
      await worktrees.build(path, signal);
      return { letter, name: `${name} (${hash.slice(0, 7)})`, path };
    };
    const contenders = [await contender('A', a), await contender('B', b)] as const;
    progress.end();
    return { ...(await takeTurns(contenders, { ...turns, benches }, signal, run)), notes };
  } finally {
    progress.end();
    await worktrees.close();
  }
}

/** Throws when there is none, or when one that was asked for is not in both. */
export function chosen(inA: readonly string[], inB: readonly string[], asked: readonly string[]): string[] {
  const missing = asked.find((name) => !inA.includes(name) || !inB.includes(name));
  if (missing !== undefined) throw new Error(`there is no bench ${missing} in ${inA.includes(missing) ? 'B' : 'A'}`);
  const both = inA.filter((name) => inB.includes(name) && isBenchName(name));
  const names = asked.length > 0 ? [...asked] : both;
  if (names.length === 0) throw new Error('the two have no bench in common');
  return names;
}
