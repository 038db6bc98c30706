import { readFile } from 'node:fs/promises';
import t from 'tap';
import { inOrder, pathOf } from '../../../../workers/docker/files/file-paths.js';

t.test('a path is below the workspace, however it is written, or refused', async (t) => {
  const cases: [string, string][] = [
    ['', ''],
    ['.', ''],
    ['/workspace', ''],
    ['/workspace/', ''],
    ['/workspace/a/b', 'a/b'],
    ['a//b/./c/', 'a/b/c'],
    ['a/../b', 'b'],
    ['"new\\nline"/x', 'new\nline/x'],
    ['"bad\\xff"', 'bad\xff'],
    ['ü', '\xc3\xbc'],
    ['n'.repeat(255), 'n'.repeat(255)],
  ];
  for (const [written, path] of cases) t.equal(pathOf(written), path, written);
  const refused = ['..', '../x', 'a/../../x', '/etc/passwd', '/', '/workspacex', '/workspace/..', 'a\0b', '"a\\x00b"'];
  for (const written of [...refused, 'n'.repeat(256), 'n/'.repeat(2_100), 'ü'.repeat(128)]) {
    t.throws(() => pathOf(written), { code: 'ERR_BAD_PATH' }, written.slice(0, 20));
  }
});

t.test('what is in a folder comes right after it', async (t) => {
  const names = ['a', 'a/b', 'a/b/c', 'a b', 'a.txt', 'b'];
  t.same(names.toReversed().toSorted(inOrder), names);
});

t.test('the helper imports nothing but Node’s own modules, since it is handed over as text', async (t) => {
  const text = await readFile(new URL('../../../../workers/workspace/file-helper.js', import.meta.url), 'utf8');
  const imports = [...text.matchAll(/^import [^;]*from '([^']+)'/gm)].map(([, from]) => from);
  t.ok(imports.length > 0);
  t.same(
    imports.filter((from) => !from?.startsWith('node:')),
    [],
  );
  t.notMatch(text, /\bimport\(|\brequire\(/);
  t.ok(text.length < 100_000, 'one argument has 128 KiB at most');
});
