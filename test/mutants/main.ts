/**
 * `npm run mutants [PART OF A FILE’S NAME …]`: puts each slip of mutants.ts into a copy of dist, runs its tests, and says which slips no
 * test notices. Exits with 1 below 90 % noticed. By hand, not in CI: a few minutes.
 */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MUTANTS } from './mutants.js';
import { applyMutant, type Mutant } from './slip.js';
import { watchExit } from '../helpers/processes.js';

/** The repository, seen from dist/test/mutants. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const AIM = 0.9;
const USAGE = `Puts each slip of test/mutants/mutants.ts into a copy of dist, and says which slips no test notices.

Usage: npm run mutants [-- PART OF A FILE’S NAME …]

  npm run mutants              all slips, a few minutes
  npm run mutants -- hub sse   those in files whose name contains one of the words

Exits with 1 below 90 % noticed.`;
/** A slip may make a test wait for ever; a test that is ended counts as failed. */
const TIMEOUT_MS = 90_000;

type Fate = 'noticed' | 'survived' | 'broken';

/** A copy of dist with the rest of the repository linked beside it, so that the working tree is never changed. */
async function makeCopy(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'fl-mutants-'));
  await cp(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true });
  for (const name of readdirSync(ROOT)) {
    if (name !== 'dist' && name !== '.git') await symlink(join(ROOT, name), join(copy, name));
  }
  return copy;
}

async function passes(copy: string, test: string): Promise<boolean> {
  const child = spawn(process.execPath, [join(copy, 'dist/test', test)], {
    cwd: copy,
    stdio: 'ignore',
    env: { ...process.env, TAP_BAIL: '1', TAP_TIMEOUT: String(TIMEOUT_MS / 1_000) },
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
  const { code } = await watchExit(child);
  clearTimeout(timer);
  return code === 0;
}

async function judge(copy: string, mutant: Mutant, broken: ReadonlySet<string>): Promise<Fate> {
  const path = join(copy, 'dist', mutant.file);
  const whole = await readFile(path, 'utf8');
  await writeFile(path, applyMutant(mutant, whole));
  try {
    if (mutant.tests.some((test) => broken.has(test))) return 'broken';
    for (const test of mutant.tests) if (!(await passes(copy, test))) return 'noticed';
    return 'survived';
  } finally {
    await writeFile(path, whole);
  }
}

const parts = process.argv.slice(2);
if (parts.includes('--help')) {
  console.log(USAGE);
  process.exit(0);
}
const chosen = MUTANTS.filter(({ file }) => parts.length === 0 || parts.some((part) => file.includes(part)));
if (chosen.length === 0) {
  console.error(`no slip is in a file whose name contains ${parts.join(' or ')}\n\n${USAGE}`);
  process.exit(2);
}
const copies: string[] = [];
try {
  while (copies.length < availableParallelism()) copies.push(await makeCopy());
  const broken = new Set<string>();
  await shareOut([...new Set(chosen.flatMap(({ tests }) => tests))], async (copy, test) => {
    if (await passes(copy, test)) return;
    broken.add(test);
    console.log(`broken    ${test} fails without a slip`);
  });
  const fates: Record<Fate, number> = { noticed: 0, survived: 0, broken: 0 };
  await shareOut(chosen, async (copy, mutant) => {
    const fate = await judge(copy, mutant, broken);
    fates[fate]++;
    console.log(`${fate.padEnd(9)} ${mutant.file}: ${mutant.find} → ${mutant.replace || '(nothing)'}`);
  });
  const share = fates.noticed / Math.max(1, chosen.length);
  console.log(
    `\n${fates.noticed} noticed, ${fates.survived} survived, ${fates.broken} broken: ${(100 * share).toFixed(1)} %`,
  );
  process.exitCode = share >= AIM ? 0 : 1;
} finally {
  for (const copy of copies) await rm(copy, { recursive: true, force: true });
}

/** One worker for each copy. */
async function shareOut<T>(items: readonly T[], work: (copy: string, item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  await Promise.all(
    copies.map(async (copy) => {
      for (const item of waiting) await work(copy, item);
    }),
  );
}
