import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { readResults, requiredScenarios, runSuite } from './suite.js';

const DRIVER = fileURLToPath(new URL('client-driver.js', import.meta.url));
/** The suite starts all scenarios at once: forty processes, on a machine that may have two cores and other work. */
const SCENARIO_TIMEOUT_MS = 90_000;
const TIMEOUT_MS = 140_000;

t.setTimeout(300_000);

/** The revision, and how many client scenarios it requires. */
const REVISIONS = [
  ['2025-11-25', 18],
  ['2026-07-28', 32],
] as const;

for (const [revision, count] of REVISIONS) {
  t.test(`as a client it passes all that revision ${revision} requires in the official suite`, async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'fl-conformance-'));
    t.teardown(() => rm(dir, { recursive: true, force: true }));
    const command = `${process.execPath} ${DRIVER}`;
    const timeout = ['--timeout', String(SCENARIO_TIMEOUT_MS)];
    const { code, output } = await runSuite(
      ['client', '--command', command, '--requirements', revision, '--output-dir', dir, ...timeout],
      TIMEOUT_MS,
    );
    const results = await readResults(dir);
    const required = await requiredScenarios(revision, 'client');
    t.equal(required.length, count);
    for (const scenario of required) {
      const checks = results.get(scenario) ?? [];
      const bad = checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING');
      t.ok(checks.some(({ status }) => status === 'SUCCESS') && bad.length === 0, scenario, { checks: bad });
    }
    // It also counts a driver that ended with an error where the scenario does not allow it, or that did not end.
    t.equal(code, 0, 'the suite itself is content', { output: output.slice(-4_000) });
  });
}
