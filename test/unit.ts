/**
 * `npm run test:unit [PART OF A PATH …]`: the tests that need neither Redis nor Docker, within a minute on two idle cores. Runs each
 * file with plain node, since tap's loader hooks cost half a second of a core for every file.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { watchExit } from './helpers/processes.js';
import { listFailures } from './helpers/tap-failures.js';
import { describeFailure, ensureTapBuilt, readTotals } from './helpers/tap-run.js';
import { readTestImports, selectUnitTests, TESTS } from './helpers/unit-tests.js';

/** The repository, seen from dist/test. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NO_HOOKS = new URL('helpers/no-hooks.js', import.meta.url).href;
/** Programs that refuse to start during the run, so that a test that needs one fails on every machine. */
const REFUSED = ['redis-server', 'docker', 'dockerd', 'containerd'];
const TIMEOUT_S = 120;
/** Many files wait more than they compute. */
const AT_ONCE = 2 * availableParallelism();

interface FileResult {
  file: string;
  ok: boolean;
  /** stdout and stderr together. */
  tap: string;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(describeFailure(error));
  process.exitCode = 1;
}

async function main(parts: string[]): Promise<number> {
  process.chdir(ROOT);
  await ensureTapBuilt(ROOT, console.log);
  const selected = selectUnitTests(await readTestImports());
  const files = selected.filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)));
  const folder = await mkdtemp(join(tmpdir(), 'fl-unit-'));
  try {
    const env = await environment(folder);
    const sum = { passed: 0, failed: files.length === 0 ? 1 : 0, skipped: 0 };
    await eachAtOnce(files, async (file) => {
      const { ok, tap } = await runFile(file, env);
      const totals = readTotals(tap, ok);
      for (const key of ['passed', 'failed', 'skipped'] as const) sum[key] += totals[key];
      console.log(`${ok ? '✓' : '✗'} ${file}`);
      if (!ok) console.log([...listFailures(tap), ...tap.split('\n').slice(-10)].join('\n'));
    });
    if (sum.skipped > 0) console.log(`# ${sum.skipped} skipped`);
    console.log(`${sum.passed} passed, ${sum.failed} failed in ${files.length} files`);
    return sum.failed === 0 ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function environment(folder: string): Promise<NodeJS.ProcessEnv> {
  for (const name of REFUSED) {
    const script = `#!/bin/sh\necho 'a unit test must not start ${name}: see test/helpers/unit-tests.ts' >&2\nexit 97\n`;
    await writeFile(join(folder, name), script, { mode: 0o755 });
  }
  return {
    ...process.env,
    PATH: [folder, process.env['PATH']].join(delimiter),
    DOCKER_HOST: `unix://${join(folder, 'no-docker.sock')}`,
    REDIS_URL: '',
    TAP_TIMEOUT: String(TIMEOUT_S),
  };
}

async function runFile(file: string, env: NodeJS.ProcessEnv): Promise<FileResult> {
  const child = spawn(process.execPath, [`--import=${NO_HOOKS}`, join(TESTS, file)], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let tap = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (tap += text));
  const { code } = await watchExit(child);
  return { file, ok: code === 0, tap };
}

async function eachAtOnce(files: readonly string[], run: (file: string) => Promise<void>): Promise<void> {
  const waiting = files.values();
  const worker = async (): Promise<void> => {
    for (const file of waiting) await run(file);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
