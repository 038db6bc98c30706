/** Reads a backup entry by entry, and takes only what a backup of ours can have. Command line's process. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { FairleadError } from '../../shared/errors.js';
import { bytesOf } from './bytes.js';
import {
  checkReadable,
  HEAD,
  headShape,
  isKnown,
  MANIFEST,
  manifestShape,
  type Head,
  type Manifest,
  type ManifestEntry,
} from './format.js';

const MAX_HEAD_BYTES = 65_536;
/** A million entries. */
const MAX_MANIFEST_BYTES = 268_435_456;

type Entry = AsyncIterable<unknown> & { header: Header };

export interface ReadEntry {
  name: string;
  size: number;
  body: AsyncIterable<Buffer>;
}

export interface Verified {
  head: Head;
  manifest: Manifest;
  /** Of all entries, unpacked. */
  bytes: number;
}

export interface ReadOptions {
  /** As it is named in errors. */
  file: string;
  handle: FileHandle;
  onBytes?: (bytes: number) => void;
}

/** Reads all of it. ERR_START names the first entry that is not as it was written. */
export async function verifyBackup(options: ReadOptions): Promise<Verified> {
  const { head, manifest, found } = await readBackup(options, async () => undefined);
  checkEntries(options.file, manifest, found);
  return { head, manifest, bytes: found.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** ERR_START names the first entry that is not what the manifest says. */
export function checkEntries(file: string, manifest: Manifest, found: readonly ManifestEntry[]): void {
  const known = new Map(manifest.entries.map((entry) => [entry.name, entry]));
  for (const { name, bytes, sha256 } of found) {
    const said = known.get(name);
    if (!said) throw damaged(file, `${name} is not in its manifest`);
    if (said.bytes !== bytes || said.sha256 !== sha256) throw damaged(file, `${name} is not as it was written`);
    known.delete(name);
  }
  const [missing] = known.keys();
  if (missing !== undefined) throw damaged(file, `${missing} is missing`);
}

/**
 * Hands out the entries between head and manifest. ERR_START: it is no backup, of a newer release, cut off, damaged, or has an entry
 * that none has. What was handed out by then must be dropped. An entry that is not read is passed over.
 */
export async function readBackup(
  { file, handle, onBytes }: ReadOptions,
  onEntry: (entry: ReadEntry) => Promise<void>,
): Promise<{ head: Head; manifest: Manifest; found: ManifestEntry[] }> {
  const source = Readable.from(seen(bytesOf(handle), onBytes), { objectMode: false });
  const gunzip = createGunzip();
  const tar = extract();
  const stop = (error: Error): void => tar.destroy(error);
  source.once('error', stop);
  gunzip.once('error', stop);
  source.pipe(gunzip).pipe(tar);
  const names = new Set<string>();
  const found: ManifestEntry[] = [];
  let head: Head | undefined;
  let manifest: Manifest | undefined;
  let last = 'the beginning';
  /** An error that is thrown by a caller, and by us, and not by the file. */
  let ours: unknown;
  try {
    for await (const entry of tar) {
      const { name, size, type } = entry.header;
      last = name;
      try {
        if (type !== 'file') throw foreign(file, `${name} is no file (${type})`);
        if (names.has(name)) throw foreign(file, `${name} is there twice`);
        if (manifest) throw foreign(file, `${name} stands behind the manifest`);
        names.add(name);
        if (!head) {
          if (name !== HEAD) throw foreign(file, `it begins with ${name}`);
          head = headOf(await textOf(entry, size, MAX_HEAD_BYTES, file), file);
          continue;
        }
        if (name === MANIFEST) {
          manifest = parsed(manifestShape, await textOf(entry, size, MAX_MANIFEST_BYTES, file), file, MANIFEST);
          continue;
        }
        if (!isKnown(name)) throw foreign(file, `${name} is nothing that a backup has`);
        const hash = createHash('sha256');
        let bytes = 0;
        const body = counted(entry, (chunk) => {
          hash.update(chunk);
          bytes += chunk.length;
        });
        await onEntry({ name, size, body });
        for await (const _ of body); // what nobody has read counts as well
        found.push({ name, bytes, sha256: hash.digest('hex') });
      } catch (error) {
        ours = error;
        throw error;
      }
    }
  } catch (error) {
    if (ours !== undefined && !isOfFile(ours)) throw ours;
    const fault = ours ?? error;
    if (!head && !isOfSystem(fault)) throw foreign(file, (fault as Error).message);
    throw damaged(file, `in or after ${last} (${wordsOf(fault)})`, fault);
  } finally {
    source.destroy();
    gunzip.destroy();
    tar.destroy();
  }
  if (!head) throw foreign(file, 'it is empty');
  if (!manifest) throw damaged(file, `it is cut off after ${last}: its manifest is missing`);
  return { head, manifest, found };
}

async function* seen(chunks: AsyncIterable<Buffer>, see: (bytes: number) => void = () => undefined) {
  for await (const chunk of chunks) {
    see(chunk.length);
    yield chunk;
  }
}

async function* counted(entry: Entry, see: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const chunk of entry) {
    see(chunk as Buffer);
    yield chunk as Buffer;
  }
}

async function textOf(entry: Entry, size: number, maxBytes: number, file: string): Promise<string> {
  if (size > maxBytes) throw foreign(file, `${entry.header.name} has ${size} bytes`);
  const chunks: Buffer[] = [];
  for await (const chunk of entry) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function headOf(text: string, file: string): Head {
  const head = parsed(headShape, text, file, HEAD);
  checkReadable(head, file);
  return head;
}

function parsed<T>(
  shape: { safeParse(value: unknown): { success: true; data: T } | { success: false } },
  text: string,
  file: string,
  name: string,
): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const result = shape.safeParse(value);
  if (!result.success) throw damaged(file, `${name} is not as it was written`);
  return result.data;
}

function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

/** zlib and the tar say so; everything else is thrown by who reads. */
function isOfFile(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof FairleadError) return false;
  const { code = '' } = error as NodeJS.ErrnoException;
  return code.startsWith('Z_') || TAR_WORDS.test(error.message);
}

const TAR_WORDS =
  /^(Unexpected end of data|Invalid (tar )?header|Header exceeds max size|Writable stream closed prematurely)/;

function wordsOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR' || message === 'Unexpected end of data') return 'it is cut off there';
  return message;
}

function damaged(file: string, why: string, cause?: unknown): FairleadError {
  return new FairleadError('ERR_START', `${file} is damaged: ${why}`, { cause });
}

function foreign(file: string, why: string): FairleadError {
  return new FairleadError('ERR_START', `${file} is no backup of Fairlead: ${why}`);
}
