/** One side of a comparison: a commit of the repository, or a file or folder of results. */
import { readFile, stat } from 'node:fs/promises';
import { readResults } from '../suite/result.js';
import type { BenchResult } from '../suite/bench.js';
import type { Side } from './comparison.js';
import { commitOf } from './git.js';

export type Asked = { kind: 'commit'; name: string; hash: string } | { kind: 'results'; side: Side };

/** A name of both a commit and a folder means the commit; `./name` means the folder. */
export async function resolveSide(root: string, name: string, benches: readonly string[]): Promise<Asked> {
  const hash = await commitOf(root, name);
  if (hash !== undefined) return { kind: 'commit', name, hash };
  const found = await stat(name).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new Error(`${name} is no commit, no file and no folder`, { cause: error });
    throw error;
  });
  const all = found.isDirectory() ? await readResults(name) : [await readResult(name)];
  const results = all.filter(({ bench }) => benches.length === 0 || benches.includes(bench));
  if (results.length === 0)
    throw new Error(`there are no results in ${name}${benches.length > 0 ? ' of these benches' : ''}`);
  return { kind: 'results', side: { name, results } };
}

async function readResult(path: string): Promise<BenchResult> {
  const text = await readFile(path, 'utf8');
  const value = parsed(text) as Partial<BenchResult> | null;
  if (value?.format !== 1) throw new Error(`${path} is no result of a bench`);
  return value as BenchResult;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
