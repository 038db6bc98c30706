import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startWorkspace } from './workspace-client.js';

t.test('a path is taken relative to the root, absolute below it, and below /workspace as its other name', async (t) => {
  const ws = await startWorkspace(t);
  await mkdir(join(ws.root, 'a'));
  await writeFile(join(ws.root, 'a', 'b.txt'), 'here');
  for (const path of [
    'a/b.txt',
    './a/../a/b.txt',
    join(ws.root, 'a/b.txt'),
    '/workspace/a/b.txt',
    '/workspace//a/./b.txt',
  ]) {
    t.equal(await ws.text('read_file', { path }), 'here', path);
  }
  t.match(await ws.text('list_files', { path: '/workspace' }), /^a\/$/m);
});

t.test('no tool leaves the workspace by .. or by an absolute path', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.outside, 'secret'), 'secret');
  const escapes = [
    '../outside/secret',
    'a/../../outside/secret',
    join(ws.outside, 'secret'),
    '/workspace/../etc/passwd',
    '/workspace-2/secret',
    `${ws.root}-2/secret`,
    '/etc/passwd',
  ];
  for (const path of escapes) {
    t.equal(await ws.fault('read_file', { path }), 'OUTSIDE_WORKSPACE', `read ${path}`);
    t.equal(await ws.fault('write_file', { path, content: 'x' }), 'OUTSIDE_WORKSPACE', `write ${path}`);
    t.equal(await ws.fault('edit_file', { path, old_text: 's', new_text: 'x' }), 'OUTSIDE_WORKSPACE', `edit ${path}`);
    t.equal(await ws.fault('list_files', { path }), 'OUTSIDE_WORKSPACE', `list ${path}`);
    t.equal(await ws.fault('search_files', { path, glob: '*' }), 'OUTSIDE_WORKSPACE', `search ${path}`);
    t.equal(await ws.fault('run_command', { cwd: path, command: 'true' }), 'OUTSIDE_WORKSPACE', `run in ${path}`);
  }
  t.equal(await readFile(join(ws.outside, 'secret'), 'utf8'), 'secret');
  t.same(await readdir(ws.outside), ['secret']);
});

t.test('a folder beside the workspace whose name begins with the workspace’s is outside for every tool', async (t) => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'fl-workspace-sibling-')));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const root = join(folder, 'workspace');
  const sibling = join(folder, 'workspace-x');
  for (const made of [root, sibling, join(root, 'workspace-x')]) {
    await mkdir(made);
    if (made !== root) await writeFile(join(made, 'secret'), 'secret');
  }
  await symlink('../workspace-x', join(root, 'link'));
  const ws = await startWorkspace(t, { FAIRLEAD_WORKSPACE: root });
  for (const outside of [sibling, '../workspace-x', '/workspace-x', '/workspace/../workspace-x', 'link']) {
    const path = `${outside}/secret`;
    t.equal(await ws.fault('read_file', { path }), 'OUTSIDE_WORKSPACE', `read ${path}`);
    t.equal(await ws.fault('write_file', { path, content: 'x' }), 'OUTSIDE_WORKSPACE', `write ${path}`);
    t.equal(await ws.fault('edit_file', { path, old_text: 's', new_text: 'x' }), 'OUTSIDE_WORKSPACE', `edit ${path}`);
    t.equal(await ws.fault('list_files', { path: outside }), 'OUTSIDE_WORKSPACE', `list ${outside}`);
    t.equal(await ws.fault('search_files', { path: outside, glob: '*' }), 'OUTSIDE_WORKSPACE', `search ${outside}`);
    t.equal(await ws.fault('run_command', { cwd: outside, command: 'true' }), 'OUTSIDE_WORKSPACE', `run in ${outside}`);
  }
  t.equal(await readFile(join(sibling, 'secret'), 'utf8'), 'secret');
  t.same(await readdir(sibling), ['secret']);

  for (const inside of [join(root, 'workspace-x'), 'workspace-x', '/workspace/workspace-x']) {
    const path = `${inside}/secret`;
    t.equal(await ws.text('read_file', { path }), 'secret', `read ${path}`);
    await ws.text('edit_file', { path, old_text: 'secret', new_text: 'edited' });
    await ws.text('write_file', { path, content: 'secret' });
    t.equal(await ws.text('list_files', { path: inside }), 'secret (6 bytes)');
    t.match(await ws.text('search_files', { path: inside, pattern: 'secret' }), 'workspace-x/secret:1: secret');
    t.match(await ws.text('run_command', { cwd: inside, command: 'cat secret' }), /^secret/);
  }
});

t.test('a link to a file outside is neither read nor written', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.outside, 'secret'), 'secret');
  await symlink(join(ws.outside, 'secret'), join(ws.root, 'absolute'));
  await symlink('../outside/secret', join(ws.root, 'relative'));
  for (const path of ['absolute', 'relative']) {
    t.equal(await ws.fault('read_file', { path }), 'OUTSIDE_WORKSPACE');
    t.equal(await ws.fault('write_file', { path, content: 'x' }), 'OUTSIDE_WORKSPACE');
    t.equal(await ws.fault('edit_file', { path, old_text: 'secret', new_text: 'x' }), 'OUTSIDE_WORKSPACE');
  }
  t.equal(await readFile(join(ws.outside, 'secret'), 'utf8'), 'secret');
});

t.test('a link to a folder outside is not gone through, by no tool', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.outside, 'secret'), 'secret');
  await symlink(ws.outside, join(ws.root, 'door'));
  t.equal(await ws.fault('read_file', { path: 'door/secret' }), 'OUTSIDE_WORKSPACE');
  t.equal(await ws.fault('write_file', { path: 'door/new', content: 'x' }), 'OUTSIDE_WORKSPACE');
  t.equal(await ws.fault('write_file', { path: 'door/new/deeper/x', content: 'x' }), 'OUTSIDE_WORKSPACE');
  t.equal(await ws.fault('list_files', { path: 'door' }), 'OUTSIDE_WORKSPACE');
  t.equal(await ws.fault('search_files', { path: 'door', pattern: 'secret' }), 'OUTSIDE_WORKSPACE');
  t.equal(await ws.fault('run_command', { cwd: 'door', command: 'true' }), 'OUTSIDE_WORKSPACE');
  t.same(await readdir(ws.outside), ['secret']);
  t.notMatch(await ws.text('list_files', { recursive: true }), 'secret');
  t.notMatch(await ws.text('search_files', { pattern: 'secret' }), /:\d+:/);
});

t.test('a dangling link is no way to make a file where it points', async (t) => {
  const ws = await startWorkspace(t);
  await symlink(join(ws.outside, 'planted'), join(ws.root, 'dangling'));
  await symlink(join(ws.outside, 'folder'), join(ws.root, 'dangling-folder'));
  t.equal(await ws.fault('write_file', { path: 'dangling', content: 'x' }), 'BROKEN_LINK');
  t.equal(await ws.fault('write_file', { path: 'dangling-folder/x', content: 'x' }), 'BROKEN_LINK');
  t.equal(await ws.fault('read_file', { path: 'dangling' }), 'BROKEN_LINK');
  t.same(await readdir(ws.outside), []);
});

t.test('a link that stays inside is followed, and stays a link when its target is written', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'target'), 'before');
  await symlink('target', join(ws.root, 'link'));
  t.equal(await ws.text('read_file', { path: 'link' }), 'before');
  await ws.text('write_file', { path: 'link', content: 'after' });
  t.equal(await readFile(join(ws.root, 'target'), 'utf8'), 'after');
  t.equal(await ws.text('list_files', {}), 'link -> target\ntarget (5 bytes)');
});

t.test('links in a circle, files used as folders and senseless paths are clear errors', async (t) => {
  const ws = await startWorkspace(t);
  await symlink('one', join(ws.root, 'two'));
  await symlink('two', join(ws.root, 'one'));
  await writeFile(join(ws.root, 'file'), 'x');
  t.equal(await ws.fault('read_file', { path: 'one' }), 'BROKEN_LINK');
  t.equal(await ws.fault('read_file', { path: 'file/x' }), 'NOT_A_FOLDER');
  t.equal(await ws.fault('write_file', { path: 'file/x/y', content: '' }), 'NOT_A_FOLDER');
  t.equal(await ws.fault('list_files', { path: 'file' }), 'NOT_A_FOLDER');
  t.equal(await ws.fault('read_file', { path: 'a\0b' }), 'BAD_PATH');
  t.equal(await ws.fault('read_file', { path: 'a'.repeat(300) }), 'BAD_PATH');
  t.equal(await ws.fault('read_file', { path: 'a/'.repeat(4000) }), 'BAD_PATH');
  t.ok((await stat(join(ws.root, 'file'))).isFile());
});
