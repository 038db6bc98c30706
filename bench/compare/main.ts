/** `npm run bench:compare`: compares two commits or two sets of results; exits with 1 when something got worse. */
import { parseArgs } from 'node:util';
import { ROOT } from '../suite/result.js';
import { compareCommits } from './commits.js';
import type { Side } from './comparison.js';
import { resolveSide, type Asked } from './sides.js';
import { report } from './text.js';
import { untilInterrupted } from '../shared/work.js';

const HELP = `Compares two commits: runs their benches in turn and says what got better or worse beyond the noise.

Usage: npm run bench:compare -- A B [NAME...] [--runs 3] [--full] [--keep FOLDER]
       npm run bench:compare -- A.json B.json

  A B            two commits, or two result files, or two folders of them (./name where a branch has the name)
  NAME           benches; without one, all that both commits have
  --runs N       how often each bench runs for each of the two (3)
  --full         the full form
  --keep FOLDER  keeps the results in FOLDER/A and FOLDER/B
  --help         prints this

To compare uncommitted changes: npm run bench:compare -- HEAD $(git stash create)
The exit code is 1 when something got worse or a bench failed. Ctrl-C ends the running bench and removes the work trees.`;

interface Args {
  names: [a: string, b: string];
  benches: string[];
  runs: number;
  full: boolean;
  keep?: string;
}

process.exitCode = (await main()) || process.exitCode || 0;

async function main(): Promise<number> {
  const args = parse(process.argv.slice(2));
  if (typeof args === 'string') {
    const asked = args === '';
    (asked ? console.log : console.error)(asked ? HELP : `${args}\n\n${HELP}`);
    return asked ? 0 : 2;
  }
  const signal = untilInterrupted();
  // Clean up when the terminal goes away, too.
  process.once('SIGHUP', () => process.kill(process.pid, 'SIGTERM'));
  try {
    return await compareAll(args, signal);
  } catch (error) {
    console.error(signal.aborted ? 'interrupted' : `no comparison: ${(error as Error).message}`);
    return signal.aborted ? 130 : 1;
  }
}

/** '' for the help; another text is an error. */
function parse(argv: string[]): Args | string {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        runs: { type: 'string', default: '3' },
        full: { type: 'boolean', default: false },
        keep: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return '';
    const [a, b, ...benches] = positionals;
    if (a === undefined || b === undefined) return 'two commits or two sets of results are needed';
    const runs = Number(values.runs);
    if (!Number.isInteger(runs) || runs < 1) return `--runs ${values.runs} is no number of runs`;
    const keep = values.keep === undefined ? {} : { keep: values.keep };
    return { names: [a, b], benches, runs, full: values.full, ...keep };
  } catch (error) {
    return (error as Error).message;
  }
}

async function compareAll({ names, ...turns }: Args, signal: AbortSignal): Promise<number> {
  const [a, b] = [await resolveSide(ROOT, names[0], turns.benches), await resolveSide(ROOT, names[1], turns.benches)];
  if (a.kind === 'results' && b.kind === 'results') return print([a.side, b.side]);
  if (a.kind !== 'commit' || b.kind !== 'commit') {
    throw new Error(`${described(a)}, and ${described(b)}: two of a kind are needed`);
  }
  const { sides, failures, notes } = await compareCommits(ROOT, [a, b], turns, signal);
  const code = print(sides);
  for (const note of notes) console.log(`! ${note}`);
  for (const failure of failures) console.error(failure);
  return failures.length > 0 ? 1 : code;
}

function print([a, b]: [Side, Side]): number {
  const { text, worse } = report(a, b);
  console.log(text);
  return worse ? 1 : 0;
}

function described(asked: Asked): string {
  return asked.kind === 'commit' ? `${asked.name} is a commit` : `${asked.side.name} is a set of results`;
}
