/** `fairlead backup` and `backup verify`. Command line's process. */
import { existsSync } from 'node:fs';
import { open, readFile, rm, stat, type FileHandle } from 'node:fs/promises';
import { constants as osConstants, setPriority } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { UNFINISHED_RESTORE } from '../../boot/data-dir.js';
import { FairleadError } from '../../shared/errors.js';
import { VERSION } from '../../shared/version.js';
import type { SubjectOptions } from '../doctor/subject.js';
import { copyData, pieces, sizeOfData } from './data-files.js';
import { CONFIG_ENTRY, ENVIRONMENT_ENTRY, FORMAT, LMDB_ENTRY, redisEntry, type Head } from './format.js';
import { copyLmdb, hasLmdb, sizeOfLmdb } from './lmdb-copy.js';
import { placeOf, type Place } from './place.js';
import type { Progress } from './progress.js';
import { verifyBackup, type Verified } from './reader.js';
import { dumpKeys } from './redis-keys.js';
import { withRedis } from './redis-link.js';
import { isFull, mib, roomIn, told } from './words.js';
import { BackupWriter, removeAbandoned, unfinishedBeside } from './writer.js';

export interface BackupOptions extends SubjectOptions {
  /** Or a folder, in which the file is named after the time. */
  file: string;
  withSecrets: boolean;
  force: boolean;
  progress: Progress;
  signal: AbortSignal;
}

export interface BackupDone {
  file: string;
  bytes: number;
  store: Head['store'];
}

/** ERR_START: nothing is left of it, and what has the name already is as it was. */
export async function backup(options: BackupOptions): Promise<BackupDone> {
  try {
    const place = await placeOf(options);
    const file = await targetOf(options);
    if (!existsSync(place.dataDir)) {
      throw new FairleadError(
        'ERR_START',
        `${place.dataDir} is not there: set FAIRLEAD_DATA to the server's data folder`,
      );
    }
    if (existsSync(join(place.dataDir, UNFINISHED_RESTORE))) {
      throw new FairleadError('ERR_START', `a restore of ${place.dataDir} was cut off: run that again first`);
    }
    // The server goes before it.
    setPriority(osConstants.priority.PRIORITY_LOW);
    process.umask(0o077);
    await removeAbandoned(dirname(file));
    return await new Backup(options, place, file).make();
  } catch (error) {
    throw told(error, 'the backup cannot be made');
  } finally {
    options.progress.end();
  }
}

class Backup {
  readonly #options: BackupOptions;
  readonly #place: Place;
  readonly #file: string;
  /** Bytes that are read, as far as that is known before. */
  #expected = 0;
  #read = 0;
  #storeBytes = 0;

  constructor(options: BackupOptions, place: Place, file: string) {
    this.#options = options;
    this.#place = place;
    this.#file = file;
  }

  async make(): Promise<BackupDone> {
    const { withSecrets, force } = this.#options;
    const { dataDir } = this.#place;
    const store = this.#storeKind();
    this.#storeBytes = store === 'lmdb' ? await sizeOfLmdb(dataDir) : 0;
    this.#expected = this.#storeBytes + (await sizeOfData(dataDir));
    const instance = await readFile(join(dataDir, 'instance'), 'utf8').catch(ifMissing('')); // a server that never ran
    const head: Head = {
      format: FORMAT,
      version: VERSION,
      createdAt: new Date().toISOString(),
      instance: instance.trim(),
      store,
      withSecrets,
    };
    const writer = await this.#inWords(BackupWriter.create(this.#file, head, force));
    try {
      return await this.#inWords(this.#fill(writer, store));
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  #storeKind(): Head['store'] {
    if (this.#place.redisUrl !== '') return 'redis';
    return hasLmdb(this.#place.dataDir) ? 'lmdb' : 'none';
  }

  /** The store first: see `copyData` for the order of the rest. */
  async #fill(writer: BackupWriter, store: Head['store']): Promise<BackupDone> {
    const { progress, signal, withSecrets } = this.#options;
    const { dataDir } = this.#place;
    const onBytes = (bytes: number): void => {
      this.#read += bytes;
      progress.add(bytes);
    };
    progress.begin('store', store === 'lmdb' ? this.#storeBytes : undefined);
    const redisKeys = store === 'redis' ? await this.#addRedis(writer, onBytes) : undefined;
    if (store === 'lmdb') await this.#addLmdb(writer, onBytes);
    progress.begin('files', this.#expected - this.#storeBytes);
    await copyData({ writer, dataDir, signal, onBytes }, withSecrets);
    await this.#addConfiguration(writer);
    signal.throwIfAborted();
    await writer.finish(redisKeys === undefined ? {} : { redisKeys });
    return { file: this.#file, bytes: writer.bytes, store };
  }

  async #addRedis(writer: BackupWriter, onBytes: (bytes: number) => void): Promise<number> {
    return withRedis(this.#place.redisUrl, 'backup', async (redis) => {
      let number = 0;
      let all = 0;
      for await (const { bytes, keys } of dumpKeys(redis, this.#options.signal)) {
        await writer.addBuffer(redisEntry(++number), bytes);
        onBytes(bytes.length);
        all += keys;
      }
      return all;
    });
  }

  /** The copy stands beside the file until it is in it: LMDB cannot write into a stream. */
  async #addLmdb(writer: BackupWriter, onBytes: (bytes: number) => void): Promise<void> {
    const folder = unfinishedBeside(this.#file);
    let copy: FileHandle | undefined;
    try {
      copy = await copyLmdb(this.#place.dataDir, folder);
    } finally {
      // Open, it stays readable without a name, and goes with this process however that ends.
      await rm(folder, { recursive: true, force: true });
    }
    try {
      const { size } = await copy.stat();
      await writer.add(LMDB_ENTRY, size, pieces(copy, size, { signal: this.#options.signal, onBytes }));
    } finally {
      await copy.close();
    }
  }

  async #addConfiguration(writer: BackupWriter): Promise<void> {
    const { config, environmentFiles } = this.#place;
    if (config.source) await writer.addBuffer(CONFIG_ENTRY, await readFile(config.source.file));
    if (!this.#options.withSecrets || environmentFiles.length === 0) return;
    const texts = await Promise.all(environmentFiles.map((file) => readFile(file).catch(ifMissing(Buffer.alloc(0)))));
    await writer.addBuffer(ENVIRONMENT_ENTRY, Buffer.concat(texts.flatMap((text) => [text, Buffer.from('\n')])));
  }

  async #inWords<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!isFull(error)) throw error;
      const folder = dirname(this.#file);
      const known = this.#storeKind() !== 'redis';
      const needed = `${known ? 'up to' : 'more than'} ${mib(Math.max(this.#expected, this.#read) + this.#storeBytes)}`;
      throw new FairleadError(
        'ERR_START',
        `the disk of ${folder} is full: the backup needs ${needed} there, and nothing of it was kept; ${await freeText(folder)}`,
        { cause: error },
      );
    }
  }
}

async function freeText(folder: string): Promise<string> {
  return `${Math.floor((await roomIn(folder)).bytes / 1_048_576)} MiB are free`;
}

async function targetOf({ file, force, cwd = process.cwd() }: BackupOptions): Promise<string> {
  const path = resolve(cwd, file);
  const found = await stat(path).catch(ifMissing(undefined));
  if (found?.isDirectory())
    return join(path, `fairlead-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}Z.tar.gz`);
  if (!found && !existsSync(dirname(path))) throw new FairleadError('ERR_START', `there is no folder ${dirname(path)}`);
  if (found && !force) throw new FairleadError('ERR_START', `${path} is there already: name another, or add --force`);
  if (found && !found.isFile()) throw new FairleadError('ERR_START', `${path} is no file`);
  return path;
}

function ifMissing<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return value;
    throw error;
  };
}

export interface VerifyOptions {
  file: string;
  progress: Progress;
}

/** ERR_START names the first entry that is not as it was written. */
export async function verify({ file, progress }: VerifyOptions): Promise<Verified> {
  try {
    const handle = await open(file, 'r');
    try {
      progress.begin('verify', (await handle.stat()).size);
      return await verifyBackup({ file, handle, onBytes: (bytes) => progress.add(bytes) });
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw told(error, `${file} cannot be read`);
  } finally {
    progress.end();
  }
}

export function backupText({ file, bytes }: BackupDone, { withSecrets }: Pick<BackupOptions, 'withSecrets'>): string {
  const keys = withSecrets
    ? 'It has keys: keep it as you keep those.'
    : 'It has no keys: keep the environment file elsewhere, or add --with-secrets.';
  return `${file}: ${mib(bytes)}\n${keys}\n`;
}

export function verifiedText(file: string, { head, manifest, bytes }: Verified): string {
  const { version, createdAt, store, withSecrets } = head;
  const kind = { lmdb: 'the embedded store', redis: `${manifest.redisKeys ?? 0} keys of Redis`, none: 'no store' }[
    store
  ];
  return `${file} is whole: ${createdAt}, Fairlead ${version}, ${manifest.entries.length} entries, ${mib(bytes)} unpacked; ${kind}; ${withSecrets ? 'with' : 'without'} keys\n`;
}
