/** Files of a workspace one after the other, with their content, from a sandbox or a save. Docker thread. */
import { z } from 'zod';
import { FairleadError } from '../../../src/shared/errors.js';
import type { ArchiveReader } from '../archive/archive-file.js';
import { TarReader, yielding, type TarEntry } from '../archive/archive-tar.js';
import type { BytePath } from '../../workspace/names.js';
import { plainPath } from './archive-files.js';
import type { HelperRun } from './helper-run.js';

export interface Entry {
  /** From the folder that is packed. */
  path: BytePath;
  type: 'file' | 'folder' | 'link' | 'other';
  size: number;
  /** Seconds since the epoch. */
  mtime: number;
  mode: number;
  /** Where a link leads, as it stands there. */
  target?: string | undefined;
  /** Of a further name of a file: the first one. */
  sameAs?: BytePath | undefined;
  /** It is not there as it should be, and why. */
  missing?: string | undefined;
  /** Of a file: exactly `size` bytes, which must be read before the next entry is asked for. */
  content?: AsyncGenerator<Buffer>;
}

/** Nobody has as many files; a program that never ends does. */
const MAX_ENTRIES = 5_000_000;
const SHORT = 'it became shorter while it was read: zeros stand for its end';

const lineShape = z.union([
  z.strictObject({ end: z.literal(true) }),
  z.strictObject({ short: z.literal(true) }),
  z.tuple([
    // What leads elsewhere is no name of a walk: unpacked, it would write there.
    z
      .string()
      .min(1)
      .max(4_096)
      .refine((path) => path.split('/').every((name) => !['', '.', '..'].includes(name)) && !path.includes('\0')),
    z.enum(['file', 'folder', 'link', 'other']),
    z.number().int().min(0),
    z.number().int(),
    z.number().int().min(0).max(0o7777),
    z.strictObject({ target: z.string().max(4_096).optional(), missing: z.string().max(40).optional() }),
  ]),
]);

/** What the helper says, which must have no more than `maxBytes` of content. */
export async function* entriesOfRun(run: HelperRun, maxBytes: number): AsyncGenerator<Entry> {
  let left = maxBytes;
  let before: Entry | undefined;
  for (let count = 0; count < MAX_ENTRIES; count++) {
    const { data: line } = lineShape.safeParse(await run.line());
    if (!line) throw strange();
    if ('end' in line) return;
    if ('short' in line) {
      if (before) yield { ...before, missing: SHORT };
      continue;
    }
    const [path, type, size, mtime, mode, { target, missing }] = line;
    before = { path: path as BytePath, type, size, mtime, mode, target, missing: missing && inWords(missing) };
    const hasContent = type === 'file' && missing === undefined;
    if (hasContent && (left -= size) < 0) throw strange();
    yield { ...before, ...(hasContent && { content: run.exactly(size) }) };
  }
  throw strange();
}

function strange(): FairleadError {
  return new FairleadError('ERR_SANDBOX', 'the program for files does not answer as it should');
}

/** `code`: the sandbox's word. */
function inWords(code: string): string {
  if (code === 'EACCES' || code === 'EPERM') return 'it is closed to the user of the sandbox';
  if (code === 'ENOENT') return 'it has gone while the archive was made';
  if (code === 'TOO_LARGE') return 'with it the archive would be larger than a save of the workspace may be';
  return `the file system says ${code.replaceAll(/\W/g, '')}`;
}

/** What is below `path`, in the order of the save. */
export async function* entriesOfArchive(archive: ArchiveReader, path: BytePath): AsyncGenerator<Entry> {
  const prefix = path === '' ? '' : `${path}/`;
  const parts = partsOf(archive);
  for (let next = await parts.next(); next.done !== true; next = await parts.next()) {
    const { entry } = next.value;
    const name = entry && plainPath(entry.path);
    if (!entry || name === undefined || name === '' || !name.startsWith(prefix) || name === prefix) continue;
    let left = entry.isFile ? entry.size : 0;
    const content = async function* (): AsyncGenerator<Buffer> {
      while (left > 0) {
        const { value, done } = await parts.next();
        if (done === true || value.entry) throw new FairleadError('ERR_SANDBOX', 'the save ends too early');
        const part = value.bytes.subarray(0, left);
        left -= part.length;
        yield part;
      }
    };
    yield described(entry, name.slice(prefix.length) as BytePath, prefix, content);
  }
}

function described(entry: TarEntry, path: BytePath, prefix: string, content: () => AsyncGenerator<Buffer>): Entry {
  const { isFile, isFolder, isSymlink, hardLinkTo, size, mtime, mode, linkTo } = entry;
  const about = { path, size: isFile ? size : 0, mtime, mode };
  if (isFolder) return { ...about, type: 'folder' };
  if (isFile) return { ...about, type: 'file', content: content() };
  if (isSymlink) return { ...about, type: 'link', target: linkTo?.toString('latin1') ?? '' };
  if (hardLinkTo) return { ...about, type: 'file', sameAs: plainPath(hardLinkTo).slice(prefix.length) as BytePath };
  return { ...about, type: 'other' };
}

type Part = { entry: TarEntry } | { entry?: undefined; bytes: Buffer };

/** The pieces of the tar: an entry, then its bytes. */
async function* partsOf(archive: ArchiveReader): AsyncGenerator<Part, undefined> {
  let found: Part[] = [];
  const reader = new TarReader((bytes, entry, isExtension) => {
    if (isExtension) return;
    found.push(entry ? { entry } : { bytes: Buffer.from(bytes) });
  });
  for await (const chunk of yielding(archive.tar())) {
    reader.write(chunk);
    yield* found;
    found = [];
  }
  if (reader.problem !== undefined) throw new FairleadError('ERR_SANDBOX', `the save: ${reader.problem}`);
  return undefined;
}
