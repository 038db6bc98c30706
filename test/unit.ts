/**
 * `npm run test:unit [PART OF A PATH …]`: the tests that need neither Redis nor Docker, within a minute on two idle cores. Starting
 * node and tap costs more than most files do, so it runs plain node without tap's loader hooks, and several files share a process.
 * A process that fails is no verdict: its files run again, each alone.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
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
/** Files that share a process. */
const GROUP = 6;
/** These wait or compute for seconds. They run alone and first, so that the run does not end with one of them. */
const LONG = [
  'workers/agent/mcp/command/commands.test.js',
  'workers/agent/mcp/remote/bad-servers.test.js',
  'workers/docker/pool/plan-days.test.js',
  'workers/workspace/list.test.js',
  'workers/agent/mcp/oauth/renewal.test.js',
  'workers/agent/store/history-codec.test.js',
  'bench/compare/main.test.js',
];
/** Many files wait more than they compute. */
const AT_ONCE = 2 * availableParallelism();

interface GroupResult {
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
    await eachAtOnce(groupsOf(files), async (group) => {
      const together = await runFiles(group, env);
      if (!together.ok && group.length > 1) {
        for (const file of group) tell([file], await runFiles([file], env));
      } else tell(group, together);
    });
    function tell(group: readonly string[], { ok, tap }: GroupResult): void {
      const totals = readTotals(tap, ok);
      for (const key of ['passed', 'failed', 'skipped'] as const) sum[key] += totals[key];
      for (const file of group) console.log(`${ok ? '✓' : '✗'} ${file}`);
      if (!ok) console.log([...listFailures(tap), ...tap.split('\n').slice(-10)].join('\n'));
    }
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

function groupsOf(files: readonly string[]): string[][] {
  const long = LONG.filter((file) => files.includes(file)).map((file) => [file]);
  const others = files.filter((file) => !LONG.includes(file));
  const groups = Array.from({ length: Math.ceil(others.length / GROUP) }, (_, index) =>
    others.slice(index * GROUP, (index + 1) * GROUP),
  );
  return [...long, ...groups];
}

async function runFiles(files: readonly string[], env: NodeJS.ProcessEnv): Promise<GroupResult> {
  const urls = files.map((file) => pathToFileURL(join(TESTS, file)).href);
  const script = `for (const url of ${JSON.stringify(urls)}) await import(url);`;
  const args = files.length === 1 ? [join(TESTS, files[0]!)] : ['--input-type=module', '--eval', script];
  const child = spawn(process.execPath, [`--import=${NO_HOOKS}`, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let tap = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (tap += text));
  const { code } = await watchExit(child);
  return { ok: code === 0, tap };
}

async function eachAtOnce(groups: string[][], run: (group: string[]) => Promise<void>): Promise<void> {
  const waiting = groups.values();
  const worker = async (): Promise<void> => {
    for (const group of waiting) await run(group);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
