import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { droppedFiles, splitWords } from '../../../../src/cli/chat/local-paths.js';

t.test('words are split as a shell splits them', async (t) => {
  const cases: [string, string[] | undefined][] = [
    ['', []],
    ['a  b', ['a', 'b']],
    [String.raw`my\ file.txt to`, ['my file.txt', 'to']],
    [`'it is' "a \\"b\\" c"d`, ['it is', 'a "b" cd']],
    [String.raw`"new\nline"`, [String.raw`new\nline`]],
    [`'' x`, ['', 'x']],
    ["it's", undefined],
  ];
  for (const [text, words] of cases) t.same(splitWords(text), words, text);
});

t.test(
  'a file that is dropped into a terminal is known, however the terminal writes it, and nothing else is',
  async (t) => {
    const folder = t.testdir();
    const path = join(folder, `my "odd" file (1).txt`);
    writeFileSync(path, 'x');
    const other = join(folder, 'b.txt');
    writeFileSync(other, 'x');
    mkdirSync(join(folder, 'folder'));
    for (const line of [
      path,
      `'${path}'`,
      `${path.replaceAll(/([ "()])/g, String.raw`\$1`)} `,
      pathToFileURL(path).href,
    ]) {
      t.same(droppedFiles(line), [path], line);
    }
    t.same(droppedFiles(`'${path}' ${other}`), [path, other]);
    for (const line of [
      'look at b.txt',
      `look at ${other}`,
      `${other} is empty`,
      join(folder, 'folder'),
      join(folder, 'nope'),
      `${other}\n${other}`,
      `/${'x'.repeat(10_000)}`,
      '/nul\0',
      'file://elsewhere/x',
      '/help',
      "/it's",
    ]) {
      t.equal(droppedFiles(line), undefined, line.slice(0, 80));
    }
  },
);
