/** One file that the audit log is written to: appended whole lines or nothing, and what proves its end. Main thread. */
import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { EMPTY, type ChainEnd } from './chain.js';
import { headText, logName, type LogName } from './files.js';

export interface LogPlace {
  folder: string;
  head: string;
}

const { O_RDONLY, O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW } = constants;
const NEWLINE = 10;

/** The file took only the first lines, and cannot be put back: it ends within a line, and another one must follow. */
export class TornFile extends Error {
  /** How many lines it took. */
  readonly whole: number;

  constructor(whole: number, cause: unknown) {
    super((cause as Error).message, { cause });
    this.name = 'TornFile';
    this.whole = whole;
  }
}

export class LogFile {
  readonly log: LogName;
  readonly #place: LogPlace;
  readonly #handle: FileHandle;
  readonly #head: FileHandle;
  readonly #inode: number;
  #size: number;
  #headIsSound = false;

  private constructor(
    place: LogPlace,
    log: LogName,
    files: { handle: FileHandle; head: FileHandle },
    { ino, size }: { ino: number; size: number },
  ) {
    this.log = log;
    this.#place = place;
    this.#handle = files.handle;
    this.#head = files.head;
    this.#inode = ino;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  /** Goes on with a file that ends with a whole line, or makes it. */
  static async open(place: LogPlace, log: LogName): Promise<LogFile> {
    const flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW;
    const handle = await open(join(place.folder, log.name), flags, 0o600);
    let head: FileHandle | undefined;
    try {
      head = await open(place.head, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o600);
      return new LogFile(place, log, { handle, head }, await handle.stat());
    } catch (error) {
      await handle.close();
      await head?.close();
      throw error;
    }
  }

  /** A new file, whose first entry has this number. What a crash has left under its name stays as it is. */
  static async begin(place: LogPlace, first: number, day: string): Promise<LogFile> {
    for (let attempt = 1; ; attempt++) {
      const log = logName(first, day, attempt);
      const there = await statOf(join(place.folder, log.name));
      if (there && there.size > 0) continue;
      const file = await LogFile.open(place, log);
      await syncFolder(place.folder);
      return file;
    }
  }

  /** All lines or none. Rejects with the system's error, or with TornFile. */
  async append(lines: readonly string[]): Promise<void> {
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    let written = 0;
    try {
      while (written < bytes.length) {
        written += (await this.#handle.write(bytes, written, bytes.length - written)).bytesWritten;
      }
    } catch (error) {
      if (written > 0) await this.#takeBack(bytes.subarray(0, written), error);
      throw error;
    }
    this.#size += bytes.length;
  }

  /** Resolves when all appended lines are on the disk; then the head names the last of them. */
  async sync(end: ChainEnd): Promise<void> {
    await this.#handle.datasync();
    try {
      const text = headText(end);
      await this.#head.write(text, 0);
      // Bytes that another program has appended would make the head unreadable.
      if (!this.#headIsSound) await this.#head.truncate(text.length);
      this.#headIsSound = true;
    } catch {
      // An older head proves less, and is no reason to refuse work.
    }
  }

  /** Why lines that are appended now would not be found, or not at their place; in words. */
  async trouble(): Promise<string | undefined> {
    const { name } = this.log;
    const there = await statOf(join(this.#place.folder, name));
    if (there?.ino !== this.#inode) return `${name} was removed while it was written`;
    if (there.size !== this.#size) return `${name} was changed by somebody else while it was written`;
    return undefined;
  }

  async close(): Promise<void> {
    await this.#handle.close();
    await this.#head.close();
  }

  async #takeBack(written: Uint8Array, cause: unknown): Promise<void> {
    try {
      await this.#handle.truncate(this.#size);
    } catch {
      // Where files can only grow (chattr +a), the piece stays; a reader passes over it.
      throw new TornFile(written.filter((byte) => byte === NEWLINE).length, cause);
    }
  }
}

/** Before the first entry: a log with entries and without a head is no log that a server has left. */
export async function beginHead({ head }: LogPlace): Promise<void> {
  const file = await open(head, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    await file.write(headText(EMPTY), 0);
    await file.truncate(headText(EMPTY).length);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Undefined: there is none. */
async function statOf(path: string): Promise<{ ino: number; size: number } | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A new file is there after a power failure only once its folder is on the disk. */
async function syncFolder(folder: string): Promise<void> {
  for (const each of [folder, dirname(folder)]) {
    const handle = await open(each, O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}
