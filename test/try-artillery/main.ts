/**
 * `npm run try:artillery [-- --rate 2 --seconds 5]`: the predecessor's load test against /socket.io/ of a Fairlead of its own, with the demo
 * model; exits with 1 when somebody's turn fails. It installs Artillery (940 packages, 670 MB) into the cache folder of this user, so it is
 * no test of CI: test/src/boot/socket-io-door.test.ts has what it says, without the load.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startEngine } from '../helpers/engine.js';
import { installOnDemand } from '../helpers/on-demand.js';
import { watchExit } from '../helpers/processes.js';

/** Seen from dist/test/try-artillery. */
const SCENARIO = fileURLToPath(new URL('../../../test/try-artillery/load-test.yml', import.meta.url));
/** The last that runs on Node 20. Its command line reads TypeScript’s compiler API, which version 7 has no more. */
const PACKAGES = { artillery: '2.0.20', typescript: '5.9.3' };
/** Each takes a little over the five seconds that its person thinks. */
const MARGIN_MS = 60_000;

interface Report {
  aggregate: { counters: Record<string, number | undefined> };
}

const { values } = parseArgs({
  options: { rate: { type: 'string', default: '2' }, seconds: { type: 'string', default: '5' } },
});
const log = (line: string): void => console.log(`# ${line}`);
const folder = await mkdtemp(join(tmpdir(), 'fl-artillery-'));
try {
  process.exitCode = (await main(Number(values.rate), Number(values.seconds))) ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function main(rate: number, seconds: number): Promise<boolean> {
  const tools = await installOnDemand({ packages: PACKAGES, log });
  const many = 10 + rate * seconds;
  const engine = await startEngine({
    config: {
      listen: { socketIo: true },
      sandbox: { driver: 'process' },
      limits: { maxSocketsPerUser: many },
      quotas: { default: { maxTurns: 0 } },
    },
  });
  try {
    const phases = [{ duration: seconds, arrivalRate: rate }];
    const report = join(folder, 'report.json');
    const overrides = JSON.stringify({ config: { phases } });
    const args = ['run', '--target', engine.url, '--overrides', overrides, '--output', report, SCENARIO];
    const child = spawn(join(tools, 'node_modules/.bin/artillery'), args, {
      cwd: folder,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ARTILLERY_DISABLE_TELEMETRY: 'true' },
      signal: AbortSignal.timeout(seconds * 1_000 + MARGIN_MS),
    });
    const { code } = await watchExit(child);
    if (code !== 0) throw new Error(`artillery ended with ${code}`);
    const { counters } = (JSON.parse(await readFile(report, 'utf8')) as Report).aggregate;
    const [came, done] = [counters['vusers.created'] ?? 0, counters['vusers.completed'] ?? 0];
    log(`${done} of ${came} people had their answer`);
    return came > 0 && done === came;
  } finally {
    await engine.stop();
  }
}
