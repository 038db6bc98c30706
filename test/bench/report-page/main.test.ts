import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { writeResult } from '../../../bench/suite/result.js';
import { runBenchCommand } from '../run-command.js';
import { someResult } from '../some-result.js';

t.test('a page of the newest results is where it was asked for', async (t) => {
  const folder = t.testdir();
  await writeResult(someResult({ question: 'An old question?', startedAt: '2026-11-01T12:00:00.000Z' }), folder);
  await writeResult(someResult(), folder);
  const out = join(folder, 'deep', 'page.html');
  const { code, stdout } = await runBenchCommand('report-page', '--results', folder, '--out', out);
  t.equal(code, 0);
  t.match(stdout, 'page.html\n');
  const text = await readFile(out, 'utf8');
  t.match(text, 'How many requests a second?');
  t.notMatch(text, 'An old question?');
});

t.test('without results it says what makes some', async (t) => {
  const { code, stderr } = await runBenchCommand('report-page', '--results', join(t.testdir(), 'none'));
  t.equal(code, 1);
  t.match(stderr, /there are no results in .*none: `npm run bench` makes some/);
});

t.test('--help is on the output, a wrong option on the error output', async (t) => {
  t.match(await runBenchCommand('report-page', '--help'), { code: 0, stdout: /--readme/, stderr: '' });
  t.match(await runBenchCommand('report-page', '--nope'), { code: 2, stdout: '', stderr: /--nope/ });
});
