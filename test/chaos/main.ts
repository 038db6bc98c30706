/** `npm run chaos`: a long chaos run, by hand. Prints its seed, its figures and every violation; exit 1 when there is one. */
import { randomInt } from 'node:crypto';
import { Command } from 'commander';
import { parseCount } from './options.js';
import { runChaos } from './system/run.js';

const ends: (() => Promise<unknown>)[] = [];

async function tidy(): Promise<void> {
  for (const end of ends.splice(0).toReversed()) await end();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void tidy().then(() => process.exit(130)));

const program = new Command('chaos')
  .description(
    'Real servers, Redis and Docker; people who talk to them; faults all the while. Needs redis-server, dockerd and root. ' +
      'CHAOS_TRACE=1 tells each step.',
  )
  .option('--events <n>', 'how many faults', parseCount, 1_000)
  .option('--seed <n>', 'which faults, and in which order; the same seed draws the same (default: random)', parseCount)
  .option('--people <n>', 'how many people talk meanwhile', parseCount, 24)
  .action(async (options: { events: number; seed?: number; people: number }) => {
    const seed = options.seed ?? randomInt(2 ** 31);
    process.stdout.write(`chaos: seed ${seed}, ${options.events} faults, ${options.people} people\n`);
    try {
      const report = await runChaos({
        ...options,
        seed,
        onTeardown: (end) => ends.push(end),
        onProgress: (done, of) => {
          if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${of} faults `);
        },
      });
      if (process.stderr.isTTY) process.stderr.write('\r');
      process.stdout.write(`${JSON.stringify({ ...report, complaints: report.complaints.length }, null, 2)}\n`);
      for (const line of report.complaints) process.stdout.write(`${line}\n`);
      const count = report.violations.length;
      process.stdout.write(`chaos: seed ${seed}: ${count} violations in ${Math.round(report.seconds)} s\n`);
      process.exitCode = count === 0 ? 0 : 1;
    } finally {
      await tidy();
    }
  });

await program.parseAsync();
