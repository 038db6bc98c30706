/**
 * Writes a backup: entries as they come, their digests in a manifest at the end. The file has its name only when it is whole and on
 * the disk. Memory is bounded by the largest buffer that a caller hands over. Command line's process.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { link, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { once } from 'node:events';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';
import { pending } from '../../shared/abort.js';
import { FairleadError } from '../../shared/errors.js';
import { HEAD, MANIFEST, type Head, type Manifest } from './format.js';

/** Archives are packed already, and blocks of histories too: more effort would cost the server's processors and save little. */
const GZIP_LEVEL = 1;
const UNFINISHED = '.unfinished';
/** Nobody writes this long without a change of the file's time. */
const ABANDONED_MS = 3_600_000;

/** A name beside the file, for what is not whole yet. */
export function unfinishedBeside(file: string): string {
  return join(dirname(file), `.${basename(file)}.${randomBytes(4).toString('hex')}${UNFINISHED}`);
}

/** Removes what backups that were killed have left in a folder. */
export async function removeAbandoned(folder: string, now = Date.now()): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith('.') || !name.endsWith(UNFINISHED)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined); // gone: another has removed it
    const newest = Math.max(found?.mtimeMs ?? now, ...(found?.isDirectory() ? await timesIn(path) : []));
    if (now - newest > ABANDONED_MS) await rm(path, { recursive: true, force: true });
  }
}

async function timesIn(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => undefined)));
  return found.flatMap((each) => (each ? [each.mtimeMs] : []));
}

export class BackupWriter {
  readonly #file: string;
  readonly #unfinished: string;
  readonly #replaces: boolean;
  readonly #pack = pack();
  readonly #stream;
  readonly #written: Promise<void>;
  readonly #entries: Manifest['entries'] = [];
  #failure: unknown;

  private constructor(file: string, unfinished: string, replaces: boolean) {
    this.#file = file;
    this.#replaces = replaces;
    this.#unfinished = unfinished;
    this.#stream = createWriteStream(unfinished, { flags: 'wx', mode: 0o600, flush: true });
    this.#written = pipeline(this.#pack, createGzip({ level: GZIP_LEVEL }), this.#stream);
    // Told by the entry that is being written, which would else wait for ever.
    this.#written.catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** `replaces`: what has the name by the end goes. */
  static async create(file: string, head: Head, replaces = false): Promise<BackupWriter> {
    const writer = new BackupWriter(file, unfinishedBeside(file), replaces);
    try {
      await writer.#own(HEAD, `${JSON.stringify(head, null, 2)}\n`);
      return writer;
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** Of the file so far. */
  get bytes(): number {
    return this.#stream.bytesWritten;
  }

  async addBuffer(name: string, bytes: Buffer): Promise<void> {
    await this.add(name, bytes.length, [bytes]);
  }

  /** Rejects when the source has other than `size` bytes, and when the disk does not take them. */
  async add(name: string, size: number, source: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
    await this.#orFailure(async () => {
      this.#entries.push(await this.#put(name, size, source));
    });
  }

  /** Adds the manifest, and gives the file its name once it is on the disk. */
  async finish(more: Omit<Manifest, 'entries'> = {}): Promise<void> {
    const manifest: Manifest = { entries: this.#entries, ...more };
    await this.#own(MANIFEST, JSON.stringify(manifest));
    this.#pack.finalize();
    await this.#written;
    if (this.#replaces) await rename(this.#unfinished, this.#file);
    else await this.#name();
    const folder = await open(dirname(this.#file), 'r');
    await folder.sync().finally(() => folder.close());
  }

  /** Another backup may have taken the name meanwhile: a link, unlike a rename, does not replace. */
  async #name(): Promise<void> {
    try {
      await link(this.#unfinished, this.#file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return rename(this.#unfinished, this.#file); // a file system without links
      throw new FairleadError(
        'ERR_START',
        `${this.#file} was made by another meanwhile: name another, or add --force`,
        {
          cause: error,
        },
      );
    }
    await rm(this.#unfinished);
  }

  /** Nothing is left of it. Idempotent. */
  async abort(): Promise<void> {
    this.#pack.destroy();
    await this.#written.catch(() => undefined); // whoever aborts knows why
    await rm(this.#unfinished, { force: true });
  }

  /** Head and manifest, which the manifest does not list. */
  async #own(name: string, text: string): Promise<void> {
    const bytes = Buffer.from(text);
    await this.#orFailure(() => this.#put(name, bytes.length, [bytes]));
  }

  async #put(
    name: string,
    size: number,
    source: AsyncIterable<Buffer> | Iterable<Buffer>,
  ): Promise<Manifest['entries'][number]> {
    const hash = createHash('sha256');
    let bytes = 0;
    const entry = this.#pack.entry({ name, size, mode: 0o600, type: 'file', mtime: new Date() });
    const ended = new Promise<void>((resolve, reject) => entry.once('finish', resolve).once('error', reject));
    ended.catch(() => undefined); // it is awaited below, unless something else has failed
    for await (const chunk of source) {
      bytes += chunk.length;
      if (bytes > size) throw new Error(`${name} has grown while it was read`);
      hash.update(chunk);
      if (!entry.write(chunk)) await Promise.race([once(entry, 'drain'), ended]);
    }
    if (bytes < size) throw new Error(`${name} has shrunk while it was read`);
    entry.end(null);
    await ended;
    return { name, bytes, sha256: hash.digest('hex') };
  }

  /** A disk that refuses destroys the tar, whose own words say nothing of the disk. */
  async #orFailure<T>(work: () => Promise<T>): Promise<T> {
    const { promise: failed, reject } = pending<never>();
    failed.catch(() => undefined); // the race tells
    this.#written.catch(reject);
    try {
      return await Promise.race([work(), failed]);
    } catch (error) {
      await new Promise((resolve) => setImmediate(resolve));
      throw this.#failure ?? error;
    }
  }
}
