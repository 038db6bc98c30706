/** `npm run chaos`: a chaos run by hand. Prints its seed, its figures and every violation; exits with 1 when there is one. */
import { randomInt } from 'node:crypto';
import { Command, Option } from 'commander';
import { parseCount } from './options.js';
import type { ChaosOptions, ChaosReport } from './report.js';
import { EVENTS } from './sandbox/plan.js';
import { runSandboxChaos } from './sandbox/run.js';
import { runDeaths } from './deaths/run.js';
import { runSystemChaos } from './system/run.js';

interface Plan {
  run: (options: ChaosOptions) => Promise<ChaosReport>;
  events: number;
  people: number;
}

const PLANS: Record<'system' | 'sandbox' | 'deaths', Plan> = {
  system: { run: runSystemChaos, events: 1_000, people: 24 },
  sandbox: { run: runSandboxChaos, events: EVENTS, people: 6 },
  deaths: { run: runDeaths, events: 200, people: 4 },
};

const ends: (() => Promise<unknown>)[] = [];

async function tidy(): Promise<void> {
  for (const end of ends.splice(0).toReversed()) await end();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void tidy().then(() => process.exit(130)));

const program = new Command('chaos')
  .description(
    'Starts a real server, Redis and Docker, lets users work, and injects faults all the while; then judges what was lost. ' +
      'Needs redis-server, dockerd and root. CHAOS_TRACE=1 prints each step.',
  )
  .addOption(
    new Option(
      '--plan <name>',
      'system: everything dies; sandbox: containers and what runs them die, and nothing may be left; deaths: sandboxes with files die, and no file may be lost without a word',
    )
      .choices(Object.keys(PLANS))
      .default('system'),
  )
  .option(
    '--events <n>',
    `how many events (default: system ${PLANS.system.events}, sandbox ${EVENTS}, deaths ${PLANS.deaths.events})`,
    parseCount,
  )
  .option('--seed <n>', 'the same seed draws the same events in the same order (default: random)', parseCount)
  .option('--people <n>', 'how many users at the same time (default: system 24, sandbox 6, deaths 4)', parseCount)
  .action(async (options: { plan: keyof typeof PLANS; events?: number; seed?: number; people?: number }) => {
    const { plan, seed = randomInt(2 ** 31) } = options;
    const { events = PLANS[plan].events, people = PLANS[plan].people } = options;
    process.stdout.write(`chaos: plan ${plan}, seed ${seed}, ${events} events, ${people} users\n`);
    try {
      const report = await PLANS[plan].run({
        seed,
        events,
        people,
        onTeardown: (end) => ends.push(end),
        onProgress: (done, of) => {
          if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${of} events `);
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
