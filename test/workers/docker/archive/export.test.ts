/** The workspaces of a session as tars, from archives on the disk. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import pino from 'pino';
import t, { type Test } from 'tap';
import { ArchiveWriter, compressor } from '../../../../workers/docker/archive/archive-file.js';
import { Archives } from '../../../../workers/docker/archive/archives.js';
import { exportWorkspaces, type WorkspaceExport } from '../../../../workers/docker/archive/export.js';

const log = pino({ level: 'silent' });
const TAR = Buffer.alloc(300_000, 'a tar');

async function world(
  t: Test,
): Promise<{ archives: Archives; save: (name: string) => Promise<string>; folder: string }> {
  const root = mkdtempSync(join(tmpdir(), 'fl-export-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const [saved, folder] = [join(root, 'workspaces'), mkdtempSync(join(root, 'out-'))];
  const archives = new Archives({ folder: saved, maxBytes: 1_000_000, timeoutMs: 10_000, log });
  await archives.load();
  const save = async (name: string): Promise<string> => {
    const path = join(saved, `${name}.tar.lz4`);
    const writer = await ArchiveWriter.create(path);
    await writer.write(Readable.from([TAR]).pipe(compressor()));
    await writer.finish({
      tarBytes: TAR.length,
      files: 2,
      folders: 0,
      savedAt: 7,
      skipped: { count: 1, paths: [{ path: 'x', reason: 'y' }] },
    });
    await writer.close();
    return path;
  };
  return { archives, save, folder };
}

function order(of: Pick<WorkspaceExport, 'archives' | 'folder'> & Partial<WorkspaceExport>): WorkspaceExport {
  return { session: 'mine', leases: [], workspaces: { checkpoint: async () => undefined }, log, ...of };
}

t.test('each saved workspace of the session becomes the tar that was saved, and no other session’s', async (t) => {
  const { archives, save, folder } = await world(t);
  for (const name of ['mine~work', 'mine~other', 'theirs~work']) await save(name);
  const exported = await exportWorkspaces(order({ archives, folder }));
  t.match(exported, [
    { server: 'other', bytes: TAR.length, savedAt: 7, files: 2, skipped: 1 },
    { server: 'work', file: join(folder, 'work.tar') },
  ]);
  t.same(readdirSync(folder).toSorted(), ['other.tar', 'work.tar']);
  t.ok(readFileSync(join(folder, 'work.tar')).equals(TAR));
});

t.test('a damaged save is told and stays where it is; the others are there', async (t) => {
  const { archives, save, folder } = await world(t);
  await save('mine~work');
  const path = await save('mine~bad');
  const bytes = readFileSync(path);
  bytes[200]! ^= 1;
  writeFileSync(path, bytes);
  const exported = await exportWorkspaces(order({ archives, folder }));
  t.match(exported, [
    { server: 'bad', problem: /damaged: its checksum is wrong/ },
    { server: 'work', bytes: TAR.length },
  ]);
  t.ok(readFileSync(path).equals(bytes), 'nobody has put it aside');
});

t.test('a sandbox that runs is saved first; where that fails the save before is exported', async (t) => {
  const { archives, save, folder } = await world(t);
  await save('mine~work');
  const lease = { session: 'mine', server: 'work', sandbox: { running: {} as never } };
  const asked: string[] = [];
  const checkpoint = async ({ session, server }: { session: string; server: string }): Promise<never> => {
    asked.push(`${session} ${server}`);
    throw new Error('Docker hangs');
  };
  const others = [
    { ...lease, session: 'theirs' },
    { ...lease, dead: true as const },
    { ...lease, sandbox: {} },
  ];
  const exported = await exportWorkspaces(
    order({ archives, folder, leases: [lease, ...others], workspaces: { checkpoint } }),
  );
  t.same(asked, ['mine work']);
  t.match(exported, [{ server: 'work', bytes: TAR.length }]);
});
