import { copyFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { Archives } from '../../../../workers/docker/archive/archives.js';
import { folderFor, log, open, SESSION, sh, start } from './archives-kit.js';

t.test('loading finds the archives, removes what a crash left, and touches nothing else', async (t) => {
  const { folder, archives } = await open(t);
  const sandbox = await start(t);
  await sh(sandbox, 'echo x > x');
  await archives.save(SESSION, 'workspace', sandbox);
  const name = `${SESSION}~workspace.tar.lz4`;
  await copyFile(join(folder, name), join(folder, `${SESSION}~other.tar.lz4.tmp`));
  await copyFile(join(folder, name), join(folder, 'other_session-000000000~a_b-c.tar.lz4'));
  await writeFile(join(folder, 'third~s.tar.lz4.broken-3'), '');
  await writeFile(join(folder, 'notes.txt'), 'mine');
  const { archives: later } = await open(t, { folder });
  t.ok(later.has(SESSION, 'workspace'));
  t.ok(later.has('other_session-000000000', 'a_b-c'));
  t.notOk(later.has(SESSION, 'other'));
  t.notOk(later.has('third', 's'));
  t.same(new Set(await later.sessions()), new Set([SESSION, 'other_session-000000000', 'third']));
  t.same(
    (await readdir(folder)).sort(),
    [name, 'notes.txt', 'other_session-000000000~a_b-c.tar.lz4', 'third~s.tar.lz4.broken-3'].sort(),
  );
  await later.forget('third');
  await later.forget(SESSION);
  t.same((await readdir(folder)).sort(), ['notes.txt', 'other_session-000000000~a_b-c.tar.lz4']);
});

t.test('a folder that cannot be used is ERR_SANDBOX, each time it is asked for', async (t) => {
  const folder = join(await folderFor(t), 'archives');
  await writeFile(folder, 'a file in its place');
  const archives = new Archives({ folder, maxBytes: 1_000, timeoutMs: 1_000, log });
  for (let i = 0; i < 2; i++) {
    await t.rejects(archives.load(), { code: 'ERR_SANDBOX', message: /saved workspaces cannot be used: EEXIST/ });
  }
});

t.test('names that could lead out of the folder are refused', async (t) => {
  const { archives } = await open(t);
  const sandbox = await start(t);
  const bad = ['', '.', '..', '../x', 'a/b', 'a~b', 'a.b', 'a\0b', 'a\n', 'ü', 'x'.repeat(129)];
  for (const name of bad) {
    const said = JSON.stringify(name);
    await t.rejects(archives.save(name, 'workspace', sandbox), { code: 'ERR_INTERNAL' }, said);
    await t.rejects(archives.save(SESSION, name, sandbox), { code: 'ERR_INTERNAL' }, said);
    await t.rejects(archives.restore(name, 'workspace', sandbox), { code: 'ERR_INTERNAL' }, said);
    await t.rejects(archives.forget(name), { code: 'ERR_INTERNAL' }, said);
  }
});
