/** Puts the keys of a backup into Redis in place of those that are there, which are copied to a file first. Command line's process. */
import type { FileHandle } from 'node:fs/promises';
import { readFile, open } from 'node:fs/promises';
import { join } from 'node:path';
import { FairleadError } from '../../shared/errors.js';
import { VERSION } from '../../shared/version.js';
import { FORMAT, isRedisEntry, redisEntry } from './format.js';
import type { Progress } from './progress.js';
import { readBackup, type ReadOptions } from './reader.js';
import { dumpKeys, hasKeys, removeKeys, restoreRecords, serversIn } from './redis-keys.js';
import { withRedis, type RedisDoor } from './redis-link.js';
import { RedisMender } from './redis-mend.js';
import { decodeRecords } from './redis-records.js';
import { BackupWriter } from './writer.js';

/** Each RESTORE is answered before too many are sent. */
const RECORDS_AT_ONCE = 200;
const MAX_ENTRY_BYTES = 1_073_741_824;

export interface ReplaceOptions {
  file: string;
  handle: FileHandle;
  /** A folder for the copy of what is there; it exists unless there is nothing. */
  aside: string;
  progress: Progress;
}

export class RedisStore {
  readonly #redis: RedisDoor;
  /** Of the store's keys. */
  isEmpty = false;
  /** It has neither all of the old keys nor all of the new ones. */
  isBroken = false;

  constructor(redis: RedisDoor) {
    this.#redis = redis;
  }

  static with<T>(url: string, work: (store: RedisStore) => Promise<T>): Promise<T> {
    return withRedis(url, 'restore', (redis) => work(new RedisStore(redis)));
  }

  /** ERR_START while servers use it, and where it has keys that may not be replaced. */
  async check({ force, dataDir }: { force: boolean; dataDir: string }): Promise<void> {
    const { address } = this.#redis;
    const own = await readFile(join(dataDir, 'instance'), 'utf8').catch(() => undefined); // a new folder has none
    const servers = await serversIn(this.#redis, own?.trim());
    if (servers.length > 0) {
      throw new FairleadError(
        'ERR_START',
        `${address} is used by other servers (${servers.join(', ')}): stop them, and wait 90 s until they count as gone; or leave the store as it is with --no-store`,
      );
    }
    this.isEmpty = !(await hasKeys(this.#redis));
    if (this.isEmpty || force) return;
    throw new FairleadError(
      'ERR_START',
      `${address} has conversations already (keys fairlead:*): add --force, and they are copied to a file and replaced`,
    );
  }

  /** Rejects when the old keys are back. Where even that fails, the error says so. */
  async replace({ file, handle, aside, progress }: ReplaceOptions): Promise<void> {
    const saved = this.isEmpty ? undefined : join(aside, 'redis.tar.gz');
    if (saved !== undefined) await this.#save(saved, progress);
    try {
      await removeKeys(this.#redis);
      progress.begin('Redis');
      await this.#load({ file, handle }, progress);
    } catch (error) {
      await this.#takeBack(saved, error, progress);
      throw error;
    }
  }

  async #save(file: string, progress: Progress): Promise<void> {
    progress.begin('copy of the old keys');
    const head = { format: FORMAT, version: VERSION, createdAt: new Date().toISOString(), instance: '' };
    const writer = await BackupWriter.create(file, { ...head, store: 'redis', withSecrets: false });
    try {
      let number = 0;
      let redisKeys = 0;
      for await (const { bytes, keys } of dumpKeys(this.#redis, new AbortController().signal)) {
        await writer.addBuffer(redisEntry(++number), bytes);
        progress.add(bytes.length);
        redisKeys += keys;
      }
      await writer.finish({ redisKeys });
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  async #takeBack(saved: string | undefined, cause: unknown, progress: Progress): Promise<void> {
    try {
      await removeKeys(this.#redis);
      if (saved === undefined) return;
      const handle = await open(saved, 'r');
      await this.#load({ file: saved, handle }, progress).finally(() => handle.close());
    } catch (error) {
      this.isBroken = true;
      const where = saved === undefined ? 'it has a part of the new ones' : `they are in ${saved}: restore that`;
      throw new FairleadError(
        'ERR_START',
        `${(cause as Error).message}; and the old keys could not be put back (${(error as Error).message}): ${where}`,
        { cause },
      );
    }
  }

  async #load(options: ReadOptions, progress: Progress): Promise<void> {
    const mender = new RedisMender(this.#redis);
    await readBackup(options, async ({ name, size, body }) => {
      if (!isRedisEntry(name)) return;
      if (size > MAX_ENTRY_BYTES) throw new FairleadError('ERR_START', `${name} of ${options.file} is too large`);
      const chunks: Buffer[] = [];
      for await (const chunk of body) chunks.push(chunk);
      const records = decodeRecords(Buffer.concat(chunks));
      if (!records) throw new FairleadError('ERR_START', `${options.file} is damaged: ${name} holds no keys`);
      for (let at = 0; at < records.length; at += RECORDS_AT_ONCE) {
        const keys = await restoreRecords(this.#redis, records.slice(at, at + RECORDS_AT_ONCE), Date.now());
        await Promise.all(keys.map((key) => mender.add(key)));
      }
      progress.add(size);
    });
    await mender.finish();
  }
}
