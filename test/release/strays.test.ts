import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { removeStrays } from '../../release/strays.js';

t.test('compiled files without a source go, and others stay', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'fl-strays-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  const ours = ['src/a.ts', 'dist/src/a.js', 'dist/src/a.js.map', 'dist/src/a.d.ts', 'dist/test/c.test.js'];
  const files = [...ours, 'dist/src/old/b.js', 'dist/src/old/b.d.ts'];
  for (const file of files) {
    await mkdir(join(root, dirname(file)), { recursive: true });
    await writeFile(join(root, file), '');
  }
  t.same((await removeStrays(root, ['src'])).sort(), ['dist/src/old/b.d.ts', 'dist/src/old/b.js']);
  t.same((await readdir(join(root, 'dist'), { recursive: true })).sort(), [
    'src',
    'src/a.d.ts',
    'src/a.js',
    'src/a.js.map',
    'src/old',
    'test',
    'test/c.test.js',
  ]);
});
