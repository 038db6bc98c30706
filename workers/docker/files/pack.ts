/** Packs a workspace's files as they stream by and as their reader takes them: a tar.gz or a zip. Docker thread. */
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack, type Pack } from 'tar-stream';
import { ZipFile } from 'yazl';
import { pending } from '../../../src/shared/abort.js';
import { escapedName, textOf, type BytePath } from '../../workspace/names.js';
import type { ArchiveFormat } from '../contract/files.js';
import type { Entry } from './entries.js';
import { LeftOut } from './left-out.js';

/** Between size and the time of a processor. */
const LEVEL = 4;
/** As many as every program for zips reads. yazl also looks through all of them for each one. */
const MAX_ZIP_ENTRIES = 65_000;
const FOLDER_MODE = 0o040000;
const FILE_MODE = 0o100000;
const LINK_MODE = 0o120000;
/** Nobody gets more rights by unpacking: no set-user-ID. */
const MODE_BITS = 0o777;

/** The bytes of the archive. Ends with the error of `entries`: what was yielded until then is no whole archive. */
export function packed(entries: AsyncGenerator<Entry>, format: ArchiveFormat): AsyncGenerator<Buffer> {
  return format === 'zip' ? zipped(entries) : gzipped(tarred(entries));
}

async function* gzipped(source: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const gzip = createGzip({ level: LEVEL });
  const feeding = pipeline(source, gzip);
  feeding.catch(() => undefined); // the reader of `gzip` is told
  try {
    for await (const chunk of gzip) yield chunk as Buffer;
  } finally {
    gzip.destroy();
  }
  await feeding;
}

async function* tarred(entries: AsyncGenerator<Entry>): AsyncGenerator<Buffer> {
  const tar = pack();
  let failure: unknown;
  let wanted = pending<void>();
  const feeding = feedTar(tar, entries, () => wanted.promise).catch((error: unknown) => {
    failure = error;
    tar.destroy();
  });
  const chunks = tar[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    for (;;) {
      wanted.resolve();
      const { value, done } = await chunks.next();
      if (done === true) break;
      wanted = pending<void>();
      yield value;
    }
  } catch (error) {
    failure ??= error;
  } finally {
    tar.destroy(); // the reader may have gone
    wanted.resolve();
    await feeding;
  }
  if (failure !== undefined) throw failure;
}

/** Without `wanted` the headers of folders and links would pile up: tar-stream holds back contents alone. */
async function feedTar(tar: Pack, entries: AsyncGenerator<Entry>, wanted: () => Promise<void>): Promise<void> {
  const closed = once(tar, 'close').catch(() => undefined); // who reads it is told of the error
  const leftOut = new LeftOut();
  for await (const entry of entries) {
    await wanted();
    if (tar.destroyed) return;
    if (leftOut.note(entry)) continue;
    const sink = tar.entry(headerOf(entry));
    for await (const chunk of entry.content ?? []) {
      if (!sink.write(chunk)) await Promise.race([once(sink, 'drain'), closed]);
      if (tar.destroyed) return;
    }
    const ended = once(sink, 'finish');
    sink.end(undefined);
    await Promise.race([ended, closed]);
  }
  const { list } = leftOut;
  if (list && !tar.destroyed) tar.entry({ name: list.name }, list.text);
  tar.finalize();
}

function headerOf({ path, type, mode, mtime, size, target, sameAs }: Entry): Parameters<Pack['entry']>[0] {
  const header = { name: nameOf(path), mode: mode & MODE_BITS, mtime: new Date(mtime * 1_000) };
  if (type === 'folder') return { ...header, type: 'directory' };
  if (type === 'link') return { ...header, type: 'symlink', linkname: nameOf((target ?? '') as BytePath) };
  if (sameAs !== undefined) return { ...header, type: 'link', linkname: nameOf(sameAs) };
  return { ...header, type: 'file', size };
}

async function* zipped(entries: AsyncGenerator<Entry>): AsyncGenerator<Buffer> {
  const zip = new ZipFile();
  const output = zip.outputStream as Readable & NodeJS.WritableStream & { writableNeedDrain: boolean };
  zip.on('error', (error: Error) => output.destroy(error));
  const feeding = feedZip(zip, output, entries).catch((error: unknown) => {
    output.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    for await (const chunk of output) yield chunk as Buffer;
  } finally {
    output.destroy();
    await feeding;
  }
}

async function feedZip(
  zip: ZipFile,
  output: Readable & { writableNeedDrain: boolean },
  entries: AsyncGenerator<Entry>,
): Promise<void> {
  const closed = once(output, 'close').catch(() => undefined); // who reads it is told of the error
  const leftOut = new LeftOut(MAX_ZIP_ENTRIES);
  for await (const entry of entries) {
    if (output.writableNeedDrain) await Promise.race([once(output, 'drain'), closed]);
    if (output.destroyed) return;
    if (leftOut.note(entry)) continue;
    const { path, type, mtime, content, size, target } = entry;
    const name = zipName(path);
    const mode = entry.mode & MODE_BITS;
    const about = { mtime: new Date(mtime * 1_000), compressionLevel: LEVEL };
    if (type === 'folder') zip.addEmptyDirectory(name, { mtime: about.mtime, mode: FOLDER_MODE | mode });
    else if (type === 'link') {
      zip.addBuffer(Buffer.from(nameOf((target ?? '') as BytePath)), name, { ...about, mode: LINK_MODE | mode });
    } else {
      const source = Readable.from(content ?? [], { objectMode: false });
      const ended = once(source, 'end');
      zip.addReadStream(source, name, { ...about, size, mode: FILE_MODE | mode });
      await Promise.race([ended, closed]); // the next entry comes after its content
      if (output.destroyed) source.destroy();
    }
  }
  const { list } = leftOut;
  if (list) zip.addBuffer(Buffer.from(list.text), list.name);
  zip.end();
}

/** Formats of archives have names that are UTF-8: what is none stands there with escapes. */
function nameOf(path: BytePath): string {
  return path
    .split('/')
    .map((name) => textOf(name as BytePath) ?? escapedName(name as BytePath))
    .join('/');
}

/** A zip's names have no backslash, which some programs take for a slash, and do not begin as a drive. */
function zipName(path: BytePath): string {
  return nameOf(path)
    .replaceAll('\\', '%5C')
    .replace(/^([A-Za-z]):(?=\/|$)/, '$1%3A');
}
