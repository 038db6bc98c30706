/** The file system by paths of bytes: a name that is no UTF-8 can be opened, too. Runs in the sandbox. */
import type { Dirent, Stats } from 'node:fs';
import * as fs from 'node:fs/promises';
import { bufferOf, type BytePath } from './names.js';

export const lstat = (path: BytePath): Promise<Stats> => fs.lstat(bufferOf(path));
export const stat = (path: BytePath): Promise<Stats> => fs.stat(bufferOf(path));
export const access = (path: BytePath, mode: number): Promise<void> => fs.access(bufferOf(path), mode);
export const chmod = (path: BytePath, mode: number): Promise<void> => fs.chmod(bufferOf(path), mode);
export const mkdir = async (path: BytePath): Promise<void> =>
  void (await fs.mkdir(bufferOf(path), { recursive: true }));
export const remove = (path: BytePath): Promise<void> => fs.rm(bufferOf(path), { force: true });
export const rename = (from: BytePath, to: BytePath): Promise<void> => fs.rename(bufferOf(from), bufferOf(to));

export const open = (path: BytePath, flags: number, mode?: number): Promise<fs.FileHandle> =>
  fs.open(bufferOf(path), flags, mode);

export const realpath = async (path: BytePath): Promise<BytePath> =>
  (await fs.realpath(bufferOf(path), 'latin1')) as BytePath;

export const readlink = async (path: BytePath): Promise<BytePath> =>
  (await fs.readlink(bufferOf(path), 'latin1')) as BytePath;

export interface FolderEntry {
  name: BytePath;
  dirent: Dirent<Buffer>;
}

/** One entry after the other: a folder of a million files must not fill the memory. */
export async function* entriesOf(path: BytePath): AsyncGenerator<FolderEntry> {
  // The types know only names that are strings.
  const folder = await fs.opendir(bufferOf(path), { encoding: 'buffer' as BufferEncoding });
  for await (const entry of folder) {
    const dirent = entry as unknown as Dirent<Buffer>;
    yield { name: dirent.name.toString('latin1') as BytePath, dirent };
  }
}
