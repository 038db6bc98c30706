import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { startWorkspace, textOf } from './workspace-client.js';

t.test('write_file creates a file with the folders on its way, and replaces one that is there', async (t) => {
  const ws = await startWorkspace(t);
  t.match(await ws.text('write_file', { path: 'a/b/c.txt', content: 'Grüße\n' }), 'Created a/b/c.txt (8 bytes)');
  t.equal(await readFile(join(ws.root, 'a/b/c.txt'), 'utf8'), 'Grüße\n');
  t.match(await ws.text('write_file', { path: 'a/b/c.txt', content: '' }), 'Replaced a/b/c.txt (0 bytes)');
  t.equal(await readFile(join(ws.root, 'a/b/c.txt'), 'utf8'), '');
  t.same(await readdir(join(ws.root, 'a/b')), ['c.txt'], 'nothing is left beside it');
});

t.test('a file keeps its mode when it is written or edited', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'run.sh'), 'echo one');
  await chmod(join(ws.root, 'run.sh'), 0o755);
  await ws.text('edit_file', { path: 'run.sh', old_text: 'one', new_text: 'two' });
  await ws.text('write_file', { path: 'plain', content: '' });
  t.equal((await stat(join(ws.root, 'run.sh'))).mode & 0o777, 0o755);
  t.equal((await stat(join(ws.root, 'plain'))).mode & 0o777, 0o644);
});

t.test('a folder or a pipe is not replaced by a file', async (t) => {
  const ws = await startWorkspace(t);
  await mkdir(join(ws.root, 'folder'));
  await ws.text('run_command', { command: 'mkfifo pipe' });
  t.equal(await ws.fault('write_file', { path: 'folder', content: '' }), 'IS_A_FOLDER');
  t.equal(await ws.fault('write_file', { path: '.', content: '' }), 'IS_A_FOLDER');
  t.equal(await ws.fault('write_file', { path: 'pipe', content: '' }), 'NOT_A_FILE');
});

t.test('edit_file replaces a text that is there once, character by character', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'f'), 'const price = "$1";\nsecond\n');
  t.match(
    await ws.text('edit_file', { path: 'f', old_text: '"$1"', new_text: '"$& $$ $`"' }),
    '1 replacement (line 1)',
  );
  t.equal(await readFile(join(ws.root, 'f'), 'utf8'), 'const price = "$& $$ $`";\nsecond\n');
  await ws.text('edit_file', { path: 'f', old_text: 'second\n', new_text: '' });
  t.equal(await readFile(join(ws.root, 'f'), 'utf8'), 'const price = "$& $$ $`";\n');
});

t.test('edit_file changes nothing when the text is absent, ambiguous or the same', async (t) => {
  const ws = await startWorkspace(t);
  const before = 'x = 1;\r\ny = 1;\r\n  z = 2;\r\n';
  await writeFile(join(ws.root, 'f'), before);
  t.equal(await ws.fault('edit_file', { path: 'f', old_text: '= 1', new_text: '= 3' }), 'AMBIGUOUS');
  t.equal(await ws.fault('edit_file', { path: 'f', old_text: 'w = 1', new_text: '' }), 'TEXT_NOT_FOUND');
  t.equal(await ws.fault('edit_file', { path: 'f', old_text: 'x = 1;\n\ny', new_text: '' }), 'TEXT_NOT_FOUND');
  t.equal(await ws.fault('edit_file', { path: 'f', old_text: 'z  =  2', new_text: '' }), 'TEXT_NOT_FOUND');
  t.equal(await ws.fault('edit_file', { path: 'f', old_text: 'z', new_text: 'z' }), 'NO_CHANGE');
  t.equal(await ws.fault('edit_file', { path: 'missing', old_text: 'z', new_text: 'y' }), 'NOT_FOUND');
  t.equal(await readFile(join(ws.root, 'f'), 'utf8'), before);
  const ambiguous = await ws.call('edit_file', { path: 'f', old_text: '= 1', new_text: '= 3' });
  t.match(textOf(ambiguous), 'lines 1, 2', 'it says where the occurrences are');
});

t.test('an edit matches any line end, keeps those of the file, its mark and its bare end', async (t) => {
  const ws = await startWorkspace(t);
  const path = join(ws.root, 'f');
  await writeFile(path, '\uFEFFone\r\ntwo\r\nthree');
  t.match(
    await ws.text('edit_file', { path: 'f', old_text: 'one\ntwo\n', new_text: 'ONE\n1.5\nTWO\n' }),
    '1 replacement (line 1)',
  );
  await ws.text('edit_file', { path: 'f', old_text: 'three\n', new_text: 'three\nfour\n' });
  t.equal(await readFile(path, 'utf8'), '\uFEFFONE\r\n1.5\r\nTWO\r\nthree\r\nfour');
  const same = await ws.call('edit_file', { path: 'f', old_text: 'ONE\r\n', new_text: 'ONE\n' });
  t.match(textOf(same), 'stay as the file has them');
});

t.test('replace_all replaces every occurrence', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'f'), 'aaaa b aa');
  await ws.text('edit_file', { path: 'f', old_text: 'aa', new_text: 'a', replace_all: true });
  t.equal(await readFile(join(ws.root, 'f'), 'utf8'), 'aa b a');
});

t.test('edits of one file that come at once lose none of the changes', async (t) => {
  const ws = await startWorkspace(t);
  const names = Array.from({ length: 20 }, (_, i) => `<${i}>`);
  await writeFile(join(ws.root, 'f'), names.join('\n'));
  await Promise.all(names.map((name) => ws.text('edit_file', { path: 'f', old_text: name, new_text: `${name}!` })));
  t.equal(await readFile(join(ws.root, 'f'), 'utf8'), names.map((name) => `${name}!`).join('\n'));
});
