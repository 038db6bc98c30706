/** The test command: sees to programs, a dockerd and the sandbox image, then runs tap and ends with one line of figures. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildImage } from '../src/cli/image/image.js';
import { ensureConformanceSuite } from './helpers/conformance-install.js';
import { docker, dockerHost, WORKSPACE_IMAGE } from './helpers/docker.js';
import { startDockerd } from './helpers/dockerd.js';
import { watchExit } from './helpers/processes.js';
import { ensurePrograms } from './helpers/programs.js';
import { listFailures } from './helpers/tap-failures.js';
import { describeFailure, ensureTapBuilt, readTotals, tapArguments } from './helpers/tap-run.js';

/** The repository, seen from dist/test. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** How long interrupted tests may take to end by themselves. */
const INTERRUPT_MS = 5_000;
const log = (line: string): void => console.log(`# ${line}`);

const cleanups: (() => Promise<void>)[] = [];
let child: ReturnType<typeof spawn> | undefined;
let interrupted: NodeJS.Signals | undefined;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt(signal));

try {
  process.exitCode = await main();
} catch (error) {
  console.error(describeFailure(error));
  process.exitCode = 1;
} finally {
  for (const cleanup of cleanups.toReversed()) await cleanup();
}

async function main(): Promise<number> {
  process.chdir(ROOT);
  await ensurePrograms(log);
  const image = await prepareDocker();
  if (interrupted) return 130;
  log(`building the sandbox image ${image}`);
  await buildImage({ tag: image, local: true, docker: docker(), log });
  if (interrupted) return 130;
  await ensureTapBuilt(ROOT, log);
  await ensureConformanceSuite(ROOT, log);
  if (interrupted) return 130;

  const folder = await mkdtemp(join(tmpdir(), 'fl-tap-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const output = join(folder, 'output.tap');
  child = spawn(process.execPath, tapArguments(ROOT, output, process.argv.slice(2)), {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true, // a process group of its own, so that an interrupted run ends every test and what it started
    env: {
      ...process.env,
      FAIRLEAD_TEST_IMAGE: image,
      // Without a terminal the reporter would redraw its screen into a log file.
      ...(process.stdout.isTTY ? {} : { CI: process.env['CI'] ?? 'true' }),
    },
  });
  const { code } = await watchExit(child);
  const tap = await readFile(output, 'utf8').catch(() => ''); // tap that did not start wrote nothing
  // Without a terminal tap's reporter ends before it has told what failed.
  if (code !== 0 && !process.stdout.isTTY) for (const line of listFailures(tap)) console.log(line);
  const { passed, failed, skipped } = readTotals(tap, code === 0);
  if (skipped > 0) log(`${skipped} skipped`);
  console.log(`\n${passed} passed, ${failed} failed`); // on a line of its own: tap's reporter ends without a newline
  return code ?? 1;
}

/** The first signal asks tap and all below it to end, a second one or the deadline ends them. Then the clean-up runs as always. */
function interrupt(signal: NodeJS.Signals): void {
  log(`${signal}: stopping`);
  killTests(interrupted === undefined ? signal : 'SIGKILL');
  interrupted = signal;
  setTimeout(() => killTests('SIGKILL'), INTERRUPT_MS).unref();
}

function killTests(signal: NodeJS.Signals): void {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, signal);
}

/** A dockerd of our own where one can be started, else the machine's. Sets DOCKER_HOST for the tests; returns the image's name. */
async function prepareDocker(): Promise<string> {
  let reason = 'not root';
  if (process.getuid?.() === 0) {
    try {
      const daemon = await startDockerd();
      cleanups.push(() => daemon.stop());
      process.env['DOCKER_HOST'] = daemon.host;
      log(`Docker: a dockerd of the tests' own at ${daemon.host}`);
      return WORKSPACE_IMAGE;
    } catch (error) {
      reason = describeFailure(error);
    }
  }
  const host = dockerHost();
  try {
    await docker(host).ping();
  } catch (error) {
    throw new Error(`no dockerd of our own (${reason}), and none answers at ${host}: ${describeFailure(error)}`, {
      cause: error,
    });
  }
  process.env['DOCKER_HOST'] = host;
  log(`Docker: no dockerd of our own (${reason}), using the one at ${host}`);
  return process.env['FAIRLEAD_TEST_IMAGE'] ?? 'fairlead/workspace:test'; // the machine's own image is not ours to replace
}
