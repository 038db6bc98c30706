import { join } from 'node:path';
import t from 'tap';
import { writeResult } from '../../../bench/suite/result.js';
import { runBenchCommand } from '../run-command.js';
import { runsOf, someResult } from '../some-result.js';

t.test('two files of results are compared without a run, and exit 1 says that something got worse', async (t) => {
  const folder = t.testdir();
  const [one, half] = await Promise.all([
    writeResult(someResult({ ...runsOf([1])[0] }), join(folder, 'one')),
    writeResult(someResult({ ...runsOf([0.5])[0] }), join(folder, 'half')),
  ]);
  t.match(await runBenchCommand('compare', one, half), { code: 1, stdout: /1 worse, 0 better/ });
  t.match(await runBenchCommand('compare', half, one), { code: 0, stdout: /0 worse, 1 better/ });
});

t.test('folders hold several runs of each, and names choose the benches', async (t) => {
  const folder = t.testdir();
  for (const result of [...runsOf([1, 1.01, 1.02]), ...runsOf([1, 1, 1], {}, { bench: 'pool' })]) {
    await writeResult(result, join(folder, 'a'));
  }
  for (const result of [...runsOf([1.01, 1, 1.02]), ...runsOf([0.1, 0.1, 0.1], {}, { bench: 'pool' })]) {
    await writeResult(result, join(folder, 'b'));
  }
  const [a, b] = [join(folder, 'a'), join(folder, 'b')];
  t.match(await runBenchCommand('compare', a, b), { code: 1, stdout: /1 worse, 0 better, 1 the same/ });
  t.match(await runBenchCommand('compare', a, b, 'http'), { code: 0, stdout: /0 worse, 0 better, 1 the same/ });
  t.match(await runBenchCommand('compare', a, b, 'soak'), { code: 1, stderr: /no results in .* of these benches/ });
});

t.test('what cannot be compared is told in a line', async (t) => {
  const folder = t.testdir({ 'none.json': '{}', 'cut.json': '{"format":1,', empty: {} });
  const told = async (a: string, b: string): Promise<string> => {
    const { code, stdout, stderr } = await runBenchCommand('compare', a, b);
    t.match({ code, stdout }, { code: 1, stdout: '' });
    return stderr;
  };
  t.match(await told(join(folder, 'nowhere'), 'x'), /nowhere is no commit, no file and no folder\n$/);
  t.match(await told(join(folder, 'none.json'), 'x'), /none\.json is no result of a bench\n$/);
  t.match(await told(join(folder, 'cut.json'), 'x'), /cut\.json is no result of a bench\n$/);
  t.match(await told(join(folder, 'empty'), 'x'), /there are no results in .*empty\n$/);
});

t.test('--help is on the output, what is wrong on the error output', async (t) => {
  t.match(await runBenchCommand('compare', '--help'), { code: 0, stdout: /--runs N/, stderr: '' });
  for (const args of [[], ['a'], ['a', 'b', '--runs', '0'], ['a', 'b', '--runs', 'x'], ['a', 'b', '--nope']]) {
    t.match(await runBenchCommand('compare', ...args), { code: 2, stdout: '' }, args.join(' '));
  }
});
