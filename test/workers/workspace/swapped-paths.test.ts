/** A file or folder that a command swaps for a link after a tool has located it, and before the tool opens it. */
import { constants } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Workspace } from '../../../workers/workspace/paths.js';
import { readFileLines } from '../../../workers/workspace/read.js';
import { searchFiles } from '../../../workers/workspace/search.js';
import { FileWriter } from '../../../workers/workspace/write.js';

const { signal } = new AbortController();

/** `folder/file` holds `inside` in the workspace, `outside` outside of it and `other` in another folder of the workspace. */
async function setUp(t: Test) {
  const base = await realpath(await mkdtemp(join(tmpdir(), 'fl-workspace-swap-')));
  t.teardown(() => rm(base, { recursive: true, force: true }));
  const [root, outside] = [join(base, 'root'), join(base, 'outside')];
  const folder = join(root, 'folder');
  const other = join(root, 'other');
  for (const [made, text] of [
    [folder, 'inside'],
    [outside, 'outside'],
    [other, 'other'],
  ] as const) {
    await mkdir(made, { recursive: true });
    await writeFile(join(made, 'file'), text);
  }
  const workspace = await Workspace.open(root);
  /** Runs `swap` each time that a path has been located. */
  const afterLocate = (swap: () => Promise<void>): void => {
    const locate = workspace.locate.bind(workspace);
    workspace.locate = async (path) => {
      const located = await locate(path);
      await swap();
      return located;
    };
  };
  const linkFolderTo = async (target: string): Promise<void> => {
    await rename(folder, join(root, 'moved'));
    await symlink(target, folder);
  };
  const linkFileTo = async (target: string): Promise<void> => {
    await rm(join(folder, 'file'));
    await symlink(target, join(folder, 'file'));
  };
  return { workspace, outside, other, folder, afterLocate, linkFolderTo, linkFileTo };
}

const call = { signal, maxBytes: 10_000 };
const read = async (workspace: Workspace) => (await readFileLines(workspace, { path: 'folder/file' }, call)).text;
const write = (workspace: Workspace) => new FileWriter(workspace).write('folder/file', 'written');
const edit = (workspace: Workspace) =>
  new FileWriter(workspace).edit({ path: 'folder/file', oldText: 'side', newText: 'x', replaceAll: false });
const search = (workspace: Workspace) =>
  searchFiles(workspace, { path: 'folder/file', pattern: '.', ignoreCase: false, offset: 1, limit: 9 }, call);

t.test('nothing is read or written through a folder that became a link outwards', async (t) => {
  for (const [name, tool] of Object.entries({ read, write, edit })) {
    const { workspace, outside, afterLocate, linkFolderTo } = await setUp(t);
    afterLocate(() => linkFolderTo(outside));
    await t.rejects(tool(workspace), { code: 'OUTSIDE_WORKSPACE' }, name);
    t.equal(await readFile(join(outside, 'file'), 'utf8'), 'outside');
    t.same(await readdir(outside), ['file'], `${name} leaves nothing there`);
  }
  const { workspace, outside, afterLocate, linkFolderTo } = await setUp(t);
  afterLocate(() => linkFolderTo(outside));
  t.same(await search(workspace), { text: '', note: '[nothing found; 1 files could not be read]' });
});

t.test('a folder that became a link inwards is still inside', async (t) => {
  const { workspace, other, afterLocate, linkFolderTo } = await setUp(t);
  afterLocate(() => linkFolderTo(other));
  t.equal(await read(workspace), 'other');
});

t.test('nothing is read or written through a file that became a link outwards', async (t) => {
  for (const [name, tool] of Object.entries({ read, edit })) {
    const { workspace, outside, afterLocate, linkFileTo } = await setUp(t);
    afterLocate(() => linkFileTo(join(outside, 'file')));
    await t.rejects(tool(workspace), { code: 'BROKEN_LINK' }, name);
    t.equal(await readFile(join(outside, 'file'), 'utf8'), 'outside');
  }
  const { workspace, outside, folder, afterLocate, linkFileTo } = await setUp(t);
  afterLocate(() => linkFileTo(join(outside, 'file')));
  await write(workspace);
  t.equal(await readFile(join(outside, 'file'), 'utf8'), 'outside');
  t.equal(await readFile(join(folder, 'file'), 'utf8'), 'written', 'the link is replaced, not followed');
  t.same(await readdir(outside), ['file']);
});

t.test('a file that was replaced by another file is read', async (t) => {
  const { workspace, folder, afterLocate } = await setUp(t);
  afterLocate(async () => {
    await rm(join(folder, 'file'));
    await writeFile(join(folder, 'file'), 'replaced');
  });
  t.equal(await read(workspace), 'replaced');
});

t.test('a new file is not made in a folder that became a link outwards', async (t) => {
  const { workspace, outside, folder, linkFolderTo } = await setUp(t);
  const place = await workspace.locate('folder/new');
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  await (await workspace.open(place, flags)).close();
  await rm(join(folder, 'new'));
  await linkFolderTo(outside);
  await t.rejects(workspace.open(place, flags), { code: 'OUTSIDE_WORKSPACE' });
});
