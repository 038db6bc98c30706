import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { removeStrays } from '../../release/strays.js';

t.test('compiled files without a source go, and others stay', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'fl-strays-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  const files = ['src/a.ts', 'dist/src/a.js', 'dist/src/a.js.map', 'dist/src/old/b.js', 'dist/test/c.test.js'];
  for (const file of files) {
    await mkdir(join(root, dirname(file)), { recursive: true });
    await writeFile(join(root, file), '');
  }
  t.same(await removeStrays(root, ['src']), ['dist/src/old/b.js']);
  t.same((await readdir(join(root, 'dist'), { recursive: true })).sort(), [
    'src',
    'src/a.js',
    'src/a.js.map',
    'src/old',
    'test',
    'test/c.test.js',
  ]);
});
