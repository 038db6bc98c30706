import t from 'tap';
import { BENCH_NAMES } from '../../../bench/suite/registry.js';
import { runBenchCommand } from '../run-command.js';

t.test('--list says what each bench asks', async (t) => {
  const { code, stdout } = await runBenchCommand('suite', '--list');
  t.equal(code, 0);
  const lines = stdout.trim().split('\n');
  t.equal(lines.length, BENCH_NAMES.length);
  for (const [index, name] of BENCH_NAMES.entries()) t.match(lines[index], new RegExp(`^${name} +\\S.*\\?$`));
});

t.test('what is wrong is told with the help, and nothing runs', async (t) => {
  const wrong: [string[], RegExp][] = [
    [['nope'], /there is no bench nope/],
    [['alternatives', '--people', '0'], /--people is a whole number of people/],
    [['alternatives', '--people', '1e3'], /--people is a whole number of people/],
    [['soak', '--hours', '2'], /--hours is a number, and goes with --full/],
    [['--nope'], /nope/],
  ];
  for (const [args, why] of wrong) {
    const { code, stdout, stderr } = await runBenchCommand('suite', ...args);
    t.equal(code, 2, args.join(' '));
    t.match(stderr, why);
    t.match(stderr, /Usage: npm run bench/);
    t.equal(stdout, '');
  }
});
