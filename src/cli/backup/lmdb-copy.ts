/** A hot copy of the embedded store: one moment of it, while a server writes. Command line's process. */
import { existsSync } from 'node:fs';
import { chown, mkdir, open as openFile, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

const TRIES = 5;
/** The server has made the store larger than it was when it was opened here. */
const OUTGROWN = /RESIZED|resized/;

export function lmdbFolder(dataDir: string): string {
  return join(dataDir, 'store');
}

export function hasLmdb(dataDir: string): boolean {
  return existsSync(join(lmdbFolder(dataDir), 'data.mdb'));
}

/** Bytes that a copy takes at most. */
export async function sizeOfLmdb(dataDir: string): Promise<number> {
  return (await stat(join(lmdbFolder(dataDir), 'data.mdb'))).size;
}

/** Copies the store into a new folder, without the pages that are free: they may hold what was deleted. */
export async function copyLmdb(dataDir: string, folder: string): Promise<FileHandle> {
  const source = lmdbFolder(dataDir);
  await keepLock(source);
  const { open } = await import('lmdb');
  await mkdir(folder, { mode: 0o700 });
  const copy = join(folder, 'data.mdb');
  for (let tries = 1; ; tries++) {
    const root = open({ path: source, noSubdir: false, readOnly: true, maxDbs: 32 });
    try {
      await root.backup(folder, true);
      return await openFile(copy, 'r');
    } catch (error) {
      if (tries >= TRIES || !OUTGROWN.test(String(error))) throw error;
      await rm(copy, { force: true });
    } finally {
      await root.close();
    }
  }
}

/** LMDB makes the lock file where it is missing, as the account of this process: a server of another could not open it. */
async function keepLock(source: string): Promise<void> {
  const lock = join(source, 'lock.mdb');
  const { uid, gid } = await stat(join(source, 'data.mdb'));
  try {
    const handle = await openFile(lock, 'wx', 0o600);
    await handle.close();
    if (process.geteuid?.() === 0) await chown(lock, uid, gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
