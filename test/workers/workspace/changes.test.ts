import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ChangeWatch, type ChangeLimits } from '../../../workers/workspace/changes.js';
import { Workspace } from '../../../workers/workspace/paths.js';
import { startWorkspace } from './workspace-client.js';

type Client = Awaited<ReturnType<typeof startWorkspace>>;

async function changes(ws: Client, name: string, args: Record<string, unknown>): Promise<unknown> {
  return (await ws.call(name, args))._meta?.['fairlead/changes'];
}

t.test('a call says which files it has made, changed and deleted', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'old'), 'old');
  await writeFile(join(ws.root, 'kept'), 'kept');
  t.same(await changes(ws, 'write_file', { path: 'a/new', content: 'four' }), {
    changes: [{ path: 'a/new', change: 'created', size: 4 }],
  });
  t.same(await changes(ws, 'edit_file', { path: 'a/new', old_text: 'four', new_text: 'seven' }), {
    changes: [{ path: 'a/new', change: 'changed', size: 5 }],
  });
  t.same(await changes(ws, 'run_command', { command: 'rm old; printf xy > "b c"; ln -s kept link; mkdir empty' }), {
    changes: [
      { path: 'b c', change: 'created', size: 2 },
      { path: 'link', change: 'created', size: 4 },
      { path: 'old', change: 'deleted' },
    ],
  });
  t.equal(await changes(ws, 'run_command', { command: 'cat kept' }), undefined);
  t.equal(await changes(ws, 'read_file', { path: 'kept' }), undefined);
});

t.test('what came from elsewhere between two calls is not theirs', async (t) => {
  const ws = await startWorkspace(t);
  await ws.text('run_command', { command: 'true' });
  await writeFile(join(ws.root, 'uploaded'), 'x');
  t.equal(await changes(ws, 'run_command', { command: 'true' }), undefined);
});

t.test('a command that takes its workspace away has its result all the same', async (t) => {
  const ws = await startWorkspace(t);
  t.match(await ws.text('run_command', { command: 'rm -rf "$PWD"; echo gone' }), /^gone/);
});

t.test('many changes and many files are told in part, and it says so', async (t) => {
  const folder = t.testdir(Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`f${10 + index}`, ''])));
  const workspace = await Workspace.open(folder);
  const watch = (limits: Partial<ChangeLimits>): Promise<ChangeWatch> =>
    ChangeWatch.start(workspace, { files: 100, changes: 100, ms: 60_000, ...limits });
  const few = await watch({ changes: 2 });
  for (const name of ['f10', 'f11', 'f12']) await writeFile(join(folder, name), 'x');
  t.match(await few.end(), { changes: [{ path: 'f10' }, { path: 'f11' }], truncated: true });
  const many = await watch({ files: 20 });
  await writeFile(join(folder, 'f13'), 'x');
  await rm(join(folder, 'f39'));
  t.same(await many.end(), { changes: [{ path: 'f13', change: 'changed', size: 1 }], truncated: true });
  const late = await watch({ ms: 0 });
  await writeFile(join(folder, 'f14'), 'x');
  t.equal(await late.end(), undefined, 'nothing is said of what nobody has looked at');
});
