/** `npm run fuzz`: attacks a real server with frames, HTTP and MCP messages that are nearly right. Exits with 1 when something gave way. */
import { randomInt } from 'node:crypto';
import { Command, InvalidArgumentError } from 'commander';
import { buildImage } from '../../src/cli/image/image.js';
import { parseCount } from '../chaos/options.js';
import { docker, WORKSPACE_IMAGE } from '../helpers/docker.js';
import { startDockerd } from '../helpers/dockerd.js';
import { runFuzz } from './run.js';

const ends: (() => Promise<unknown>)[] = [];

async function tidy(): Promise<void> {
  for (const end of ends.splice(0).toReversed()) await end();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void tidy().then(() => process.exit(130)));

function parseMinutes(text: string): number {
  const minutes = Number(text);
  if (!(minutes > 0 && minutes <= 10_000)) throw new InvalidArgumentError('a number of minutes is expected');
  return minutes;
}

const program = new Command('fuzz')
  .description(
    'Sends mutated frames, HTTP heads, bodies and MCP messages (from a sandbox and from a remote server) to a real server, with a real ' +
      'Redis and Docker. Where the parser runs in this process, inputs that reach new code are kept and mutated on. Needs redis-server, dockerd and root.',
  )
  .option('--minutes <n>', 'how long', parseMinutes, 10)
  .option('--seed <n>', 'the same seed makes the same inputs (default: random)', parseCount)
  .action(async ({ minutes, seed = randomInt(2 ** 31) }: { minutes: number; seed?: number }) => {
    process.stdout.write(`fuzz: seed ${seed}, ${minutes} minutes\n`);
    try {
      const daemon = await startDockerd();
      ends.push(() => daemon.stop());
      process.env['DOCKER_HOST'] = daemon.host;
      await buildImage({ tag: WORKSPACE_IMAGE, local: true, docker: docker(), log: () => undefined });
      const report = await runFuzz({
        seed,
        seconds: minutes * 60,
        onTeardown: (end) => ends.push(end),
        onProgress: (target, cases, seconds) => {
          if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${Math.round(seconds)} s  ${target}: ${cases} cases`);
        },
      });
      if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
      for (const { name, cases, violations } of report.targets)
        process.stdout.write(`${name.padEnd(22)} ${String(cases).padStart(10)} cases  ${violations.length} problems\n`);
      for (const violation of report.violations) process.stdout.write(`${violation}\n`);
      const cases = report.targets.reduce((sum, target) => sum + target.cases, 0);
      const { warmMb, endMb } = report.memory;
      process.stdout.write(
        `fuzz: seed ${seed}: ${cases} cases, ${report.violations.length} problems, ${report.threadsLost} threads lost, memory ${warmMb} → ${endMb} MB\n`,
      );
      process.exitCode = report.violations.length === 0 ? 0 : 1;
    } finally {
      await tidy();
    }
  });

await program.parseAsync();
