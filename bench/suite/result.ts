/** Writes and reads results in bench/results. */
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench, BenchResult, Findings, Machine } from './bench.js';

/** The repository, seen from dist/bench/suite. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const RESULTS = join(ROOT, 'bench', 'results');

export function thisMachine(): Machine {
  return {
    cpus: cpus().length,
    model: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    node: process.version,
  };
}

export function toResult(
  { name, question }: Bench,
  findings: Findings,
  run: { full: boolean; startedAt: Date; seconds: number },
): BenchResult {
  return {
    format: 1,
    bench: name,
    question,
    form: run.full ? 'full' : 'short',
    machine: thisMachine(),
    commit: git('rev-parse', '--short', 'HEAD'),
    dirty: git('status', '--porcelain', '--untracked-files=no') !== '',
    startedAt: run.startedAt.toISOString(),
    seconds: Math.round(run.seconds * 10) / 10,
    ...findings,
  };
}

/** `bench/results/http-2026-01-31T12-00-00.json`. Resolves with its path. */
export async function writeResult(result: BenchResult, folder = RESULTS): Promise<string> {
  await mkdir(folder, { recursive: true });
  const at = result.startedAt.slice(0, 19).replaceAll(':', '-');
  const path = join(folder, `${result.bench}-${at}.json`);
  await writeFile(path, `${JSON.stringify(result, null, 2)}\n`);
  return path;
}

/** The oldest first; other JSON files are left out. */
export async function readResults(folder = RESULTS): Promise<BenchResult[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const results: BenchResult[] = [];
  for (const name of names.filter((file) => file.endsWith('.json'))) {
    const value = parse(name, await readFile(join(folder, name), 'utf8'));
    if (value.format === 1) results.push(value as BenchResult);
  }
  return results.sort((a, b) => a.startedAt.localeCompare(b.startedAt));
}

function parse(name: string, text: string): Partial<BenchResult> {
  try {
    return JSON.parse(text) as Partial<BenchResult>;
  } catch (error) {
    throw new Error(`bench/results/${name} is cut or broken; remove it: ${(error as Error).message}`, { cause: error });
  }
}

/** The newest of each bench, in the order of their first runs. */
export function newestOfEach(results: readonly BenchResult[]): BenchResult[] {
  return [...new Map(results.map((result) => [result.bench, result])).values()];
}

/** '' outside a repository or without git. */
function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
}
