/** The files of a data folder, for a backup: each as it was at one moment, also while a server writes them. Command line's process. */
import { constants } from 'node:fs';
import { open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { auditFolder, headFile, listLogs, type LogName } from '../../audit/files.js';
import { MAX_LINE_BYTES } from '../../audit/lines.js';
import { FairleadError } from '../../shared/errors.js';
import { bytesOf } from './bytes.js';
import { DATA_FILES, DATA_FOLDERS, dataEntry, isCopied } from './format.js';
import type { BackupWriter } from './writer.js';

/** Read at once, so that one that is written meanwhile cannot change its length under way. */
const SMALL_BYTES = 1_048_576;
const HEAD_TRIES = 20;
const LIST_TRIES = 5;
const NEWLINE = 10;
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export interface CopyOptions {
  writer: BackupWriter;
  dataDir: string;
  signal: AbortSignal;
  onBytes: (bytes: number) => void;
}

/** Bytes that `copyData` will about read. */
export async function sizeOfData(dataDir: string): Promise<number> {
  let bytes = 0;
  for (const folder of DATA_FOLDERS) {
    for (const name of await namesIn(join(dataDir, folder))) {
      bytes += (await stat(join(dataDir, folder, name)).catch(() => undefined))?.size ?? 0; // gone meanwhile
    }
  }
  return bytes;
}

/**
 * The store was copied before. Records of leases come before the archives: what a sandbox had changed by then is either told as
 * lost after a restore, or in an archive that is newer. The audit log comes last: it has each act that the others have.
 */
export async function copyData(options: CopyOptions, keys: boolean): Promise<void> {
  const { dataDir } = options;
  for (const name of [...DATA_FILES.plain, ...(keys ? DATA_FILES.keys : [])]) {
    if (name !== 'audit-head') await copyFile(options, name);
  }
  for (const folder of DATA_FOLDERS) {
    if (folder === 'audit') continue;
    for (const name of await namesIn(join(dataDir, folder))) {
      if (isCopied(folder, name)) await copyFile(options, `${folder}/${name}`);
    }
  }
  await copyAudit(options);
}

/** `path` is relative to the data folder. One that is gone by now is left out, and so is what is no file. */
async function copyFile(options: CopyOptions, path: string): Promise<void> {
  const handle = await openFile(join(options.dataDir, path));
  if (!handle) return;
  try {
    await copyOpen(options, path, handle);
  } finally {
    await handle.close();
  }
}

async function copyOpen({ writer, signal, onBytes }: CopyOptions, path: string, handle: FileHandle, bytes?: number) {
  signal.throwIfAborted();
  const found = await handle.stat();
  if (!found.isFile()) return;
  const size = bytes ?? found.size;
  if (size <= SMALL_BYTES && bytes === undefined) {
    const text = await handle.readFile();
    await writer.addBuffer(dataEntry(path), text);
    onBytes(text.length);
    return;
  }
  await writer.add(dataEntry(path), size, pieces(handle, size, { signal, onBytes }));
}

export async function* pieces(
  handle: FileHandle,
  size: number,
  { signal, onBytes }: Pick<CopyOptions, 'signal' | 'onBytes'>,
): AsyncGenerator<Buffer> {
  for await (const chunk of bytesOf(handle, size)) {
    signal.throwIfAborted();
    onBytes(chunk.length);
    yield chunk;
  }
}

/** The head first: an entry reaches the disk before the head names it, so the files have it then. */
async function copyAudit(options: CopyOptions): Promise<void> {
  const { dataDir, writer } = options;
  const head = await readAuditHead(headFile(dataDir));
  const logs = await openLogs(auditFolder(dataDir));
  try {
    if (head) await writer.addBuffer(dataEntry('audit-head'), head);
    for (const [index, { log, handle }] of logs.entries()) {
      // The newest file may end in the middle of a line that is being written.
      const isNewest = index === logs.length - 1;
      await copyOpen(options, `audit/${log.name}`, handle, isNewest ? await wholeLines(handle) : undefined);
    }
  } finally {
    for (const { handle } of logs) await handle.close();
  }
}

/** It is written in place, so a read may fall in the middle of a write. */
async function readAuditHead(file: string): Promise<Buffer | undefined> {
  let bytes: Buffer | undefined;
  for (let tries = 0; tries < HEAD_TRIES; tries++) {
    const handle = await openFile(file);
    if (!handle) return undefined;
    bytes = await handle.readFile().finally(() => handle.close());
    if (/^\d{12} [0-9a-f]{64}\n$/.test(bytes.toString('latin1'))) return bytes;
  }
  return bytes; // damaged it is, and a restore shows that as well
}

interface OpenLog {
  log: LogName;
  handle: FileHandle;
}

/** All at once: files that are removed for their age go together with the entry that says so. */
async function openLogs(folder: string): Promise<OpenLog[]> {
  for (let tries = 0; tries < LIST_TRIES; tries++) {
    const opened: OpenLog[] = [];
    let isWhole = true;
    for (const log of await listLogs(folder)) {
      const handle = await openFile(join(folder, log.name));
      if (handle) opened.push({ log, handle });
      else isWhole = false;
    }
    if (isWhole) return opened;
    for (const { handle } of opened) await handle.close();
  }
  throw new FairleadError('ERR_START', `${folder}: files of the audit log vanish while they are read: try again`);
}

/** Bytes up to the last line break. */
async function wholeLines(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  const tail = Buffer.alloc(Math.min(size, MAX_LINE_BYTES));
  const { bytesRead } = await handle.read(tail, 0, tail.length, size - tail.length);
  const last = tail.subarray(0, bytesRead).lastIndexOf(NEWLINE);
  return last < 0 ? 0 : size - tail.length + last + 1;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Undefined: it is gone, or a link, which no server makes. */
async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, FLAGS);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ELOOP') return undefined;
    throw error;
  }
}
