/** docs/security.md against the tests: each test that it names is there, under the name that it gives. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): Promise<string> => readFile(join(ROOT, path), 'utf8');
/** As it stands in a source file. */
const plain = (text: string): string => text.replaceAll(/\\(['`"])/g, '$1').replaceAll('’', "'");

t.test('each threat has four cells, and names a test that is there', async (t) => {
  const page = await read('docs/security.md');
  const rows = page.split('\n').filter((line) => /^\| (?!threat|---)/.test(line));
  t.ok(rows.length > 40, 'the table has rows');
  for (const row of rows) {
    const [, threat = '', stands = '', tests = '', left] = row.split(/(?<!\\) \| |^\| /);
    t.ok(stands !== '' && left !== undefined, `four cells: ${threat}`);
    const parts = tests.split(/`(test\/[^`]+)`/).slice(1);
    t.ok(parts.length > 0, `a test: ${threat}`);
    for (let at = 0; at < parts.length; at += 2) {
      const source = plain(await read(parts[at] ?? ''));
      // … stands for a part that the source makes up.
      const names = [...(parts[at + 1] ?? '').matchAll(/"(?:… )?([^"]+?)(?: …)?"/g)].map(([, name = '']) =>
        plain(name),
      );
      for (const name of names) t.ok(source.includes(name), `${parts[at]}: ${name}`);
    }
  }
});
