/** `fairlead restore`: all of a backup or nothing. What is there before is moved aside, and never deleted. Command line's process. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdir, open, readdir, rename, rm, rmdir, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { holdDataDir, UNFINISHED_RESTORE } from '../../boot/data-dir.js';
import { FairleadError } from '../../shared/errors.js';
import type { Account, SubjectOptions } from '../doctor/subject.js';
import { DATA_FILES, LMDB_ENTRY, pathInData, type Head } from './format.js';
import { placeOf, type Place } from './place.js';
import type { Progress } from './progress.js';
import { checkEntries, readBackup, verifyBackup, type Verified } from './reader.js';
import { RedisStore } from './redis-store.js';
import { mib, roomIn, told } from './words.js';

const ASK_MS = 5_000;
const STAGED = '.restoring';
const ASIDE = 'before-restore-';
/** Of the data folder, and never moved. */
const LOCK = 'server.sock';

export interface RestoreOptions extends SubjectOptions {
  file: string;
  /** Moves aside what is there. */
  force: boolean;
  /** False: leaves the store as it is. */
  store: boolean;
  progress: Progress;
  signal: AbortSignal;
}

export interface RestoreDone extends Verified {
  dataDir: string;
  /** Where the old state is. Absent: there was none. */
  aside?: string;
}

/** ERR_START: nothing has changed, unless it says so. */
export async function restore(options: RestoreOptions): Promise<RestoreDone> {
  const { file, progress, cwd = process.cwd() } = options;
  let handle: FileHandle | undefined;
  try {
    handle = await open(resolve(cwd, file), 'r');
    return await inFolder(await placeOf(options), (place, owner) => new Restore(options, place, owner, handle!).run());
  } catch (error) {
    throw told(error, 'the backup cannot be restored');
  } finally {
    progress.end();
    await handle?.close();
  }
}

interface Owner {
  uid: number;
  gid: number;
}

/** Holds the data folder meanwhile, and makes it where it is missing. */
async function inFolder(
  place: Place,
  work: (place: Place, owner: Owner) => Promise<RestoreDone>,
): Promise<RestoreDone> {
  const { dataDir, account } = place;
  const isNew = !existsSync(dataDir);
  const made = isNew ? await mkdir(dataDir, { recursive: true, mode: 0o700 }) : undefined;
  try {
    if (isNew && account && process.geteuid?.() === 0) await chown(dataDir, account.uid, await groupOf(account));
    const { uid, gid } = await stat(dataDir);
    const euid = process.geteuid?.() ?? uid;
    if (euid !== 0 && euid !== uid) {
      throw new FairleadError('ERR_START', `${dataDir} belongs to the account ${uid}: put sudo in front`);
    }
    const hold = await holdDataDir(dataDir);
    if (!hold) {
      throw new FairleadError(
        'ERR_START',
        `a server uses ${dataDir}: stop it first (systemctl stop fairlead), and start it afterwards`,
      );
    }
    try {
      return await work(place, { uid, gid });
    } finally {
      hold.release();
    }
  } catch (error) {
    // Only what this made, and only while it is empty.
    if (made !== undefined) await rmdir(dataDir).catch(() => undefined);
    throw error;
  }
}

async function groupOf({ name }: Account): Promise<number> {
  return Number((await promisify(execFile)('id', ['-g', '--', name], { timeout: ASK_MS })).stdout);
}

class Restore {
  readonly #options: RestoreOptions;
  readonly #place: Place;
  readonly #owner: Owner;
  readonly #handle: FileHandle;

  constructor(options: RestoreOptions, place: Place, owner: Owner, handle: FileHandle) {
    this.#options = options;
    this.#place = place;
    this.#owner = owner;
    this.#handle = handle;
  }

  async run(): Promise<RestoreDone> {
    const { dataDir, redisUrl } = this.#place;
    const staged = join(dataDir, STAGED);
    await rm(staged, { recursive: true, force: true }); // of a restore that was killed
    await this.#checkFolder();
    const verified = await this.#verify();
    this.#checkStore(verified.head);
    await this.#checkRoom(verified);
    const work = async (redis?: RedisStore): Promise<RestoreDone> => {
      await redis?.check({ force: this.#options.force || this.#wasCutOff(), dataDir });
      try {
        await this.#stage(staged, verified);
        this.#options.signal.throwIfAborted();
        const aside = await this.#put(staged, redis);
        return { ...verified, dataDir, ...(aside !== undefined && { aside }) };
      } finally {
        await rm(staged, { recursive: true, force: true });
      }
    };
    if (verified.head.store !== 'redis' || !this.#options.store) return work();
    return RedisStore.with(redisUrl, work);
  }

  #wasCutOff(): boolean {
    return existsSync(join(this.#place.dataDir, UNFINISHED_RESTORE));
  }

  async #checkFolder(): Promise<void> {
    const { dataDir } = this.#place;
    if (this.#options.force || this.#wasCutOff()) return;
    const there = await namesToMove(dataDir);
    if (there.length === 0) return;
    throw new FairleadError(
      'ERR_START',
      `${dataDir} has data already (${there.slice(0, 3).join(', ')}${there.length > 3 ? ', …' : ''}): add --force, and they are moved aside`,
    );
  }

  async #verify(): Promise<Verified> {
    const { file, progress, signal } = this.#options;
    progress.begin('verify', (await this.#handle.stat()).size);
    const onBytes = (bytes: number): void => {
      signal.throwIfAborted();
      progress.add(bytes);
    };
    return verifyBackup({ file, handle: this.#handle, onBytes });
  }

  #checkStore({ store }: Head): void {
    if (!this.#options.store || store === 'none') return;
    const here = this.#place.redisUrl === '' ? 'lmdb' : 'redis';
    if (here === store) return;
    const words = { lmdb: 'the embedded store', redis: 'Redis' };
    throw new FairleadError(
      'ERR_START',
      `its conversations are of ${words[store]}, and the configuration names ${words[here]}: change store.redisUrl (REDIS_URL), or leave them out with --no-store`,
    );
  }

  async #checkRoom({ manifest }: Verified): Promise<void> {
    const { dataDir } = this.#place;
    const wanted = manifest.entries.filter(({ name }) => this.#target(name) !== undefined);
    const needed = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
    const { bytes, inodes } = await roomIn(dataDir);
    if (needed <= bytes && wanted.length <= inodes) return;
    const what =
      needed > bytes
        ? `${mib(needed)}, and ${Math.floor(bytes / 1_048_576)} MiB are free`
        : `${wanted.length} files, and there is room for ${inodes}`;
    throw new FairleadError('ERR_START', `the disk of ${dataDir} has too little room: the restore needs ${what}`);
  }

  #target(name: string): string | undefined {
    if (name === LMDB_ENTRY && !this.#options.store) return undefined;
    return pathInData(name);
  }

  async #stage(staged: string, { manifest, bytes }: Verified): Promise<void> {
    const { file, progress, signal } = this.#options;
    progress.begin('restore', bytes);
    await this.#makeFolder(staged);
    const made = new Set<string>();
    const again = await readBackup({ file, handle: this.#handle }, async ({ name, body }) => {
      const path = this.#target(name);
      if (path === undefined) return;
      signal.throwIfAborted();
      const target = join(staged, path);
      const folder = dirname(target);
      if (folder !== staged && !made.has(folder)) await this.#makeFolder(folder);
      made.add(folder);
      await this.#write(target, body);
    });
    checkEntries(file, manifest, again.found);
  }

  async #makeFolder(path: string): Promise<void> {
    await mkdir(path, { mode: 0o700 });
    await this.#give(path);
  }

  /** To the server's account. Without root it is this one's already. */
  async #give(path: string): Promise<void> {
    if (process.geteuid?.() === 0) await chown(path, this.#owner.uid, this.#owner.gid);
  }

  async #write(path: string, body: AsyncIterable<Buffer>): Promise<void> {
    const handle = await open(path, 'wx', 0o600);
    try {
      for await (const chunk of body) {
        for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at)).bytesWritten;
        this.#options.progress.add(chunk.length);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await this.#give(path);
  }

  /**
   * From here on the folder has some of both states. A server does not start while the note is there, and a restore that is cut off
   * is run again.
   */
  async #put(staged: string, redis: RedisStore | undefined): Promise<string | undefined> {
    const { file } = this.#options;
    const { dataDir } = this.#place;
    const note = join(dataDir, UNFINISHED_RESTORE);
    const aside = join(dataDir, ASIDE + new Date().toISOString().replaceAll(':', '-'));
    const restored = await readdir(staged);
    const stays = new Set<string>([
      ...DATA_FILES.keys.filter((name) => !restored.includes(name)),
      ...(restored.includes('store') ? [] : ['store']),
    ]);
    const old = (await namesToMove(dataDir)).filter((name) => !stays.has(name));
    const isEmpty = old.length === 0 && redis?.isEmpty !== false;
    const wasCutOff = this.#wasCutOff();
    await writeFile(note, `${file}\n`, { mode: 0o600, flush: true });
    if (!isEmpty) await this.#makeFolder(aside);
    try {
      await redis?.replace({ file, handle: this.#handle, aside, progress: this.#options.progress });
    } catch (error) {
      // Redis is as it was, and so is the folder.
      if (!wasCutOff && redis?.isBroken !== true) await rm(note);
      await rmdir(aside).catch(() => undefined); // the copy of Redis's keys stays where there is one
      throw error;
    }
    for (const name of old) await rename(join(dataDir, name), join(aside, name));
    for (const name of restored) await rename(join(staged, name), join(dataDir, name));
    await syncFolder(dataDir);
    await rm(note);
    return isEmpty ? undefined : aside;
  }
}

/** What a restore moves aside. */
async function namesToMove(dataDir: string): Promise<string[]> {
  const names = await readdir(dataDir);
  return names.filter((name) => ![LOCK, STAGED, UNFINISHED_RESTORE].includes(name) && !name.startsWith(ASIDE)).sort();
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  await handle.sync().finally(() => handle.close());
}

export function restoreText({ head, dataDir, aside }: RestoreDone): string {
  const old = aside === undefined ? '' : `What was there is in ${aside}: remove it when all is well.\n`;
  return `${dataDir} is as it was at ${head.createdAt}.\n${old}Start the server with the same secret keys: systemctl start fairlead\n`;
}
