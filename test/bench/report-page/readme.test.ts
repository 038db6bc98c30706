import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { check } from 'prettier';
import t from 'tap';
import { BEGIN, END, ratiosMarkdown, withBlock } from '../../../bench/report-page/readme.js';
import { ROOT } from '../../../bench/suite/result.js';
import { someRatio, someResult } from '../some-result.js';

t.test('the ratios are a markdown table under the setup that they were found with', async (t) => {
  t.equal(
    await ratiosMarkdown([
      someResult(),
      someResult({ bench: 'pool', ratios: [someRatio({ value: 1_234.5, unit: '' })] }),
    ]),
    `2 × A Processor, 24 GiB, kernel 6.1.0, Node v20.20.2, commit abc1234 (http, pool):

| bench       | figure                 | value   | aim       |        |
| ----------- | ---------------------- | ------- | --------- | ------ |
| http, short | requests: ours of bare | 0.970 × | ≥ 0.900 × | met    |
| http, short | first byte, p99        | 12 ms   | ≤ 10 ms   | missed |
| pool, short | requests: ours of bare | 1,235   | ≥ 0.900   | met    |
`,
  );
});

t.test('Prettier has nothing to change in it, whatever a name has in it', async (t) => {
  const names = [
    'a|b',
    'a\nb',
    '*a* _b_ `c` [d](e) <b>f</b>',
    '~~a~~ $b$ &lt; \\|',
    '漢字 👍',
    'https://example.org/x',
    '',
  ];
  const ratios = names.map((name) => someRatio({ name }));
  const text = withBlock('# Benches\n', await ratiosMarkdown([someResult({ ratios })]));
  t.ok(await check(text, { parser: 'markdown', printWidth: 120, proseWrap: 'preserve' }));
  t.equal(text.split('\n').filter((line) => line.startsWith('| http')).length, names.length);
});

t.test('the block is put between the markers, which come to the end where they are missing', async (t) => {
  const once = withBlock('# Benches\n\nText.\n', 'one\n');
  t.equal(once, `# Benches\n\nText.\n\n${BEGIN}\n\none\n\n${END}\n`);
  t.equal(withBlock(`${once}\nAfter.\n`, 'two'), `# Benches\n\nText.\n\n${BEGIN}\n\ntwo\n\n${END}\n\nAfter.\n`);
  t.equal(withBlock(once, 'one'), once);
  t.equal(withBlock('', '$& $1'), `${BEGIN}\n\n$& $1\n\n${END}\n`);
});

t.test('markers that are not one pair in order are told, and nothing is lost', async (t) => {
  for (const text of [BEGIN, END, END + BEGIN, BEGIN + BEGIN + END, BEGIN + END + END]) {
    t.throws(() => withBlock(text, 'x'), /there is not one/, text);
  }
});

t.test("every figure of the project's README stands in that of the benches, with the same commit", async (t) => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const benches = await readFile(join(ROOT, 'bench', 'README.md'), 'utf8');
  const section = readme.split('\n## Figures\n')[1]?.split('\n## ')[0] ?? '';
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2);
  t.ok(rows.length >= 5, `${rows.length} rows`);
  for (const row of rows) {
    const cell = row.split('|')[2]?.trim() ?? '';
    for (const figure of cell.split(' and ')) {
      const [value = '', unit = ''] = figure.split(' ');
      // A count of violations is a column there.
      const place = unit === 'violations' ? new RegExp(`\\| ${value} +\\|`) : figure;
      t.match(benches, place, figure);
    }
  }
  const commit = /commit (\w{7})/.exec(section)?.[1] ?? 'none';
  t.match(benches, `commit ${commit}`);
});
