import { check } from 'prettier';
import t from 'tap';
import { BEGIN, END, ratiosMarkdown, withBlock } from '../../../bench/report-page/readme.js';
import { someRatio, someResult } from '../some-result.js';

t.test('the ratios are a markdown table under the setup that they were found with', async (t) => {
  t.equal(
    await ratiosMarkdown([
      someResult(),
      someResult({ bench: 'pool', ratios: [someRatio({ value: 1_234.5, unit: '' })] }),
    ]),
    `2 × A Processor, 24 GiB, kernel 6.1.0, Node v20.20.2, commit abc1234 (http, pool):

| bench       | ratio                  | value   | aim       |        |
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
