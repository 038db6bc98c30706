/** Files of a workspace that has no sandbox now: they are listed and read in its save, without being unpacked. Docker thread. */
import { FairleadError } from '../../../src/shared/errors.js';
import { shownPath, type BytePath } from '../../workspace/names.js';
import type { FileStat, ListedFile } from '../contract/files.js';
import type { ArchiveReader } from '../archive/archive-file.js';
import { TarReader, yielding, type TarEntry } from '../archive/archive-tar.js';
import { fileError } from './file-errors.js';
import { inOrder, sortKey } from './file-paths.js';

interface ListQuery {
  path: BytePath;
  recursive: boolean;
  after: BytePath | undefined;
  limit: number;
}

interface Found {
  path: string;
  stat: FileStat;
  /** Of a further name of a file: the first one, which has the size. */
  linkTo: string | undefined;
}

/** The first `limit` of them and one more, in the order of lists. Undefined: a link is on the way. ERR_NO_SUCH_FILE, ERR_FILE_CONFLICT. */
export async function listArchived(
  archive: ArchiveReader,
  { path, recursive, after, limit }: ListQuery,
): Promise<ListedFile[] | undefined> {
  const prefix = path === '' ? '' : `${path}/`;
  const from = after === undefined ? undefined : sortKey(after);
  const seen = new Aside(path);
  let found: Found[] = [];
  const cut = (): void => {
    found = found.toSorted((one, other) => inOrder(one.path, other.path)).slice(0, limit + 1);
  };
  await eachEntry(archive, (entry, name) => {
    seen.note(entry, name);
    if (!name.startsWith(prefix) || name === '') return;
    const below = name.slice(prefix.length);
    if (below === '' || (!recursive && below.includes('/'))) return;
    if (from !== undefined && sortKey(name) <= from) return;
    found.push({ path: name, stat: statOf(entry), linkTo: entry.hardLinkTo && plainPath(entry.hardLinkTo) });
    if (found.length > 4 * (limit + 1)) cut();
  });
  cut();
  if (seen.isLink) return undefined;
  if (path !== '' && seen.entry === undefined) throw fileError('ENOENT', path);
  if (seen.entry && !seen.entry.isFolder) throw fileError('NOT_A_FOLDER', path);
  await addSizes(archive, found);
  return found.map(({ path: name, stat }) => ({ path: shownPath(name as BytePath), ...stat }));
}

async function addSizes(archive: ArchiveReader, found: readonly Found[]): Promise<void> {
  const linked = new Map<string, FileStat[]>();
  for (const { linkTo, stat } of found) {
    if (linkTo !== undefined) linked.set(linkTo, [...(linked.get(linkTo) ?? []), stat]);
  }
  if (linked.size === 0) return;
  await eachEntry(archive, (entry, name) => {
    for (const stat of linked.get(name) ?? []) Object.assign(stat, statOf(entry));
  });
}

/** What stands at a path, and whether a link is on the way, so that only a sandbox can say what is meant. */
class Aside {
  readonly #path: string;
  entry: TarEntry | undefined;
  isLink = false;

  constructor(path: string) {
    this.#path = path;
  }

  note(entry: TarEntry, name: string): void {
    if (name === this.#path) this.entry = entry;
    if (!entry.isSymlink) return;
    if (name === this.#path || this.#path.startsWith(`${name}/`)) this.isLink = true;
  }
}

export interface ArchivedFile {
  stat: FileStat;
  /** Once. */
  content(): AsyncGenerator<Buffer>;
}

/** Undefined: a link is on the way. ERR_NO_SUCH_FILE, ERR_FILE_CONFLICT. */
export async function openArchived(
  archive: ArchiveReader,
  path: BytePath,
  isFirst = false,
): Promise<ArchivedFile | undefined> {
  const seen = new Aside(path);
  await eachEntry(archive, (entry, name) => seen.note(entry, name));
  const { entry, isLink } = seen;
  if (isLink) return undefined;
  if (!entry) throw fileError('ENOENT', path);
  if (entry.isFolder) throw fileError('IS_A_FOLDER', path);
  // One of several names of a file: its content stands at the first of them.
  const first = entry.hardLinkTo && (plainPath(entry.hardLinkTo) as BytePath);
  if (first !== undefined) return isFirst ? undefined : openArchived(archive, first, true);
  if (!entry.isFile) throw fileError('NOT_A_FILE', path);
  return { stat: statOf(entry), content: () => contentOf(archive, path) };
}

/** False: a link is on the way, or a further name of a file has its content elsewhere. ERR_NO_SUCH_FILE, ERR_FILE_CONFLICT. */
export async function canPackArchived(archive: ArchiveReader, path: BytePath, hasLinks: boolean): Promise<boolean> {
  const prefix = path === '' ? '' : `${path}/`;
  const seen = new Aside(path);
  let isWhole = true;
  await eachEntry(archive, (entry, name) => {
    seen.note(entry, name);
    if (!entry.hardLinkTo || !name.startsWith(prefix)) return;
    if (!hasLinks || !plainPath(entry.hardLinkTo).startsWith(prefix)) isWhole = false;
  });
  if (seen.isLink) return false;
  if (path !== '' && !seen.entry) throw fileError('ENOENT', path);
  if (seen.entry && !seen.entry.isFolder) throw fileError('NOT_A_FOLDER', path);
  return isWhole;
}

/** Of the last entry with that name, as tar unpacks it. A save has each name once. */
async function* contentOf(archive: ArchiveReader, path: BytePath): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let left: number | undefined;
  const reader = new TarReader((part, entry, isExtension) => {
    if (isExtension) return;
    if (entry) {
      if (left === undefined && entry.isFile && plainPath(entry.path) === path) left = entry.size;
      return;
    }
    if (left === undefined || left === 0) return;
    const content = part.subarray(0, left);
    left -= content.length;
    parts.push(content);
  });
  for await (const chunk of yielding(archive.tar())) {
    reader.write(chunk);
    if (parts.length > 0) yield Buffer.concat(parts);
    parts = [];
    if (left === 0) return;
  }
  throw new FairleadError('ERR_SANDBOX', 'the save ends in the middle of the file');
}

async function eachEntry(archive: ArchiveReader, look: (entry: TarEntry, name: string) => void): Promise<void> {
  const reader = new TarReader((_part, entry, isExtension) => {
    if (entry && !isExtension) look(entry, plainPath(entry.path));
  });
  for await (const chunk of yielding(archive.tar())) reader.write(chunk);
  if (reader.problem !== undefined) throw new FairleadError('ERR_SANDBOX', `the save: ${reader.problem}`);
}

/** Without `./` and a slash at the end; `''` for the root. */
export function plainPath(path: Buffer): string {
  const names = path.toString('latin1').split('/');
  return names.filter((name) => name !== '' && name !== '.').join('/');
}

function statOf({ isFolder, isFile, isSymlink, hardLinkTo, size, mtime }: TarEntry): FileStat {
  const isPlain = isFile || hardLinkTo !== undefined;
  const type = isFolder ? 'folder' : isPlain ? 'file' : isSymlink ? 'link' : 'other';
  return { type, size: isFile ? size : 0, mtimeMs: mtime * 1_000, version: `${size}.${mtime}.0.0` };
}
