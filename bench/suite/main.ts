/** `npm run bench`: runs each bench in a process of its own, one after the other; results go to the terminal and to bench/results. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { BenchResult } from './bench.js';
import type { BenchMessage } from './messages.js';
import { BENCH_NAMES, isBenchName, loadBench, type BenchName } from './registry.js';
import { writeResult } from './result.js';
import { Progress, resultText } from './terminal.js';

const CHILD = fileURLToPath(new URL('child-main.js', import.meta.url));
/** A bench has so long to clean up after a Ctrl-C; then it is killed. */
const CLEAN_UP_MS = 60_000;

const HELP = `Measures Fairlead and compares it with the alternatives.

Usage: npm run bench -- [NAME...] [--full [--hours N]] [--people N]

  NAME     one of: ${BENCH_NAMES.join(', ')}; without one, all
  --full   the full form, which takes minutes to hours
  --hours  duration of a full form: soak 2, the acceptance of turns 1
  --people most people of alternatives (20, in the full form 500) and upgrade (100, 500)
  --list   prints the question of each bench
  --help   prints this

A result is a file in bench/results. \`npm run bench:report\` makes one page of the newest results, and
\`npm run bench:compare -- A B\` compares two commits.
Ctrl-C ends the running bench and what it has started; a second one ends it at once.`;

process.exitCode = await main();

async function main(): Promise<number> {
  const args = parse();
  if (typeof args === 'string') {
    console.error(`${args}\n\n${HELP}`);
    return 2;
  }
  if (args.values.help) {
    console.log(HELP);
    return 0;
  }
  if (args.values.list) {
    for (const name of BENCH_NAMES) console.log(`${name.padEnd(13)} ${(await loadBench(name)).question}`);
    return 0;
  }
  const { full, hours, people } = args.values;
  return runAll(args.names, [
    ...(full ? ['--full'] : []),
    ...(hours === undefined ? [] : [`--hours=${hours}`]),
    ...(people === undefined ? [] : [`--people=${people}`]),
  ]);
}

function parse() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        full: { type: 'boolean', default: false },
        hours: { type: 'string' },
        people: { type: 'string' },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const unknown = positionals.find((name) => !isBenchName(name));
    if (unknown !== undefined) return `there is no bench ${unknown}`;
    const { hours, people } = values;
    if (people !== undefined && !/^[1-9]\d{0,5}$/.test(people)) return '--people is a whole number of people';
    if (hours !== undefined && !(values.full && Number(hours) > 0)) return '--hours is a number, and goes with --full';
    return { values, names: positionals.length > 0 ? (positionals as BenchName[]) : BENCH_NAMES };
  } catch (error) {
    return (error as Error).message;
  }
}

async function runAll(names: readonly BenchName[], flags: readonly string[]): Promise<number> {
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => (interrupted = true));
  const failed: string[] = [];
  for (const name of names) {
    const told = await runOne(name, flags);
    if (typeof told === 'string') {
      if (interrupted) return 130;
      console.error(`bench ${name} failed: ${told}`);
      failed.push(name);
      continue;
    }
    console.log(resultText(told));
    console.log(`\n${await writeResult(told)}`);
    if (interrupted) return 130;
  }
  if (failed.length > 0) console.error(`\nfailed: ${failed.join(', ')}`);
  return failed.length > 0 ? 1 : 0;
}

/** Resolves with the result, or with the reason why there is none. */
async function runOne(name: BenchName, flags: readonly string[]): Promise<BenchResult | string> {
  const progress = new Progress(name);
  const child = fork(CHILD, [name, ...flags], { detached: true });
  let told: BenchResult | string = 'it ended without a result';
  child.on('message', (message: BenchMessage) => {
    if (message.type === 'progress') progress.show(message.doing, message.share);
    else told = message.type === 'result' ? message.result : message.message;
  });
  // The bench has its own process group, so that it gets each signal once, wherever that comes from.
  const onSignal = (signal: NodeJS.Signals): void => {
    child.kill(signal);
    progress.show('cleaning up');
    setTimeout(() => child.kill('SIGKILL'), CLEAN_UP_MS).unref();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  await new Promise<void>((resolve) => child.once('exit', () => resolve()));
  process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  progress.end();
  return told;
}
