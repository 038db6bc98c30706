import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { blocksOf, startWorkspace } from './workspace-client.js';

t.test('list_files shows one folder, or with recursive all below it, parents first', async (t) => {
  const ws = await startWorkspace(t);
  t.same(blocksOf(await ws.call('list_files', {})), ['[the workspace is empty]']);
  await mkdir(join(ws.root, 'src/deep'), { recursive: true });
  await writeFile(join(ws.root, 'README.md'), 'hello');
  await writeFile(join(ws.root, 'src/deep/x.ts'), '');
  await writeFile(join(ws.root, 'src/.hidden'), '');
  await symlink('src', join(ws.root, 'link'));
  t.same(blocksOf(await ws.call('list_files', {})), ['README.md (5 bytes)\nlink -> src\nsrc/']);
  t.same(blocksOf(await ws.call('list_files', { recursive: true })), [
    'README.md (5 bytes)\nlink -> src\nsrc/\nsrc/.hidden (0 bytes)\nsrc/deep/\nsrc/deep/x.ts (0 bytes)',
  ]);
  t.same(blocksOf(await ws.call('list_files', { path: 'src' })), ['.hidden (0 bytes)\ndeep/']);
});

t.test('a long listing is cut and says how much there is', async (t) => {
  const ws = await startWorkspace(t);
  await ws.text('run_command', { command: 'for i in $(seq 1 1500); do : > f$i; done' });
  const [text = '', note] = blocksOf(await ws.call('list_files', {}));
  t.equal(text.split('\n').length, 1000);
  t.match(note, '1–1000 of 1500 entries are shown: continue with offset 1001');
  const [rest = '', end] = blocksOf(await ws.call('list_files', { offset: 1001 }));
  t.equal(new Set([...text.split('\n'), ...rest.split('\n')]).size, 1500);
  t.match(end, '1001–1500 of 1500 entries: the end');
  t.match(await ws.text('list_files', { offset: 1501 }), 'offset 1501 is past the last');
  t.equal(blocksOf(await ws.call('list_files', { limit: 2000 })).length, 1);
});

t.test('a folder of more entries than are ever looked at is cut, too', async (t) => {
  const ws = await startWorkspace(t);
  await ws.text('run_command', { command: 'seq 1 21000 | xargs touch' });
  const [, note] = blocksOf(await ws.call('list_files', { limit: 10 }));
  t.match(note, '10 of more than 20000 entries');
});

t.test('a folder that is not there is a clear error', async (t) => {
  const ws = await startWorkspace(t);
  t.equal(await ws.fault('list_files', { path: 'missing' }), 'NOT_FOUND');
});
