/** How the test command runs tap: its one-time build, its arguments, and the figures in its output. */
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { watchExit } from './processes.js';

const TAP = 'node_modules/.bin/tap';
/** What tap generates from its plugins; the TypeScript plugin is in it until `tap build` has read .taprc. */
const TAP_BUILT = 'node_modules/@tapjs/test/test-built/dist/esm/index.js';
const NO_HOOKS = new URL('no-hooks.js', import.meta.url).href;
const CHECKED_FETCH = new URL('checked-fetch.js', import.meta.url).href;

/** Once after an install: tap's TypeScript plugin does not work with TypeScript 7, and only a build leaves it out. */
export async function ensureTapBuilt(root: string, log: (line: string) => void): Promise<void> {
  const built = await readFile(join(root, TAP_BUILT), 'utf8');
  if (!built.includes('"@tapjs/typescript"')) return;
  log('tap build (once after an install)');
  const child = spawn(process.execPath, [join(root, TAP), 'build'], { cwd: root, stdio: 'inherit' });
  const { code, signal } = await watchExit(child);
  if (code !== 0) throw new Error(`tap build ended with ${code ?? signal}`);
}

/** A folder among the arguments stands for the tests in it: tap itself would run every file there, helpers too. */
export function tapArguments(root: string, output: string, extra: string[]): string[] {
  const args = extra.map((arg) => (isFolder(arg) ? join(arg, '**/*.test.js') : arg));
  const chosen = extra.some((arg) => arg.startsWith('--reporter') || arg.startsWith('-R'));
  const hooks = extra.includes('--no-disable-coverage') ? [] : [`--node-arg=--import=${NO_HOOKS}`];
  return [
    join(root, TAP),
    'run',
    `--output-file=${output}`,
    ...(chosen ? [] : ['--reporter=base']),
    ...hooks,
    `--node-arg=--import=${CHECKED_FETCH}`,
    ...args,
  ];
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

export interface Totals {
  passed: number;
  failed: number;
  /** Skipped and unfinished ones: neither passed nor failed, and told, for nothing is skipped silently. */
  skipped: number;
}

/**
 * From tap's own last count of assertions, `# { total: 7, pass: 2, fail: 5 }`. A run that failed without a count, or
 * without a failed assertion, counts one failure. After a file that ran out of time tap leaves the last file uncounted.
 */
export function readTotals(tap: string, ok: boolean): Totals {
  const counts = [...tap.matchAll(/^# \{ total: \d+.*\}$/gm)].at(-1)?.[0] ?? '';
  const count = (name: string): number => Number(new RegExp(`${name}: (\\d+)`).exec(counts)?.[1] ?? 0);
  const failed = count('fail');
  return { passed: count('pass'), failed: ok ? failed : Math.max(1, failed), skipped: count('skip') + count('todo') };
}

export function describeFailure(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
