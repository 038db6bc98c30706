/** Saves a sandbox's /workspace as a checked archive and restores it, with the tar of the sandbox. Docker thread. */
import { existsSync, statSync } from 'node:fs';
import { chmod, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { FairleadError } from '../../../src/shared/errors.js';
import { gauge } from '../../../src/shared/metrics.js';
import type { Logger } from '../../../src/shared/log.js';
import type { SavedWorkspace } from '../contract/messages.js';
import { ArchiveReader, BrokenArchive } from './archive-file.js';
import { lostFilesError, RETRY_AFTER_MS, messageOf, throwDisk } from './archive-errors.js';
import type { RunningSandbox } from '../driver/driver.js';
import { unpack } from './restore.js';
import { saveWorkspace, type SaveJob, type SaveResult } from './save.js';
import { SessionQueue } from './session-queue.js';

const archivesOnDisk = gauge('fairlead_archives', 'Saved workspaces on disk, broken ones included');
const bytesOnDisk = gauge('fairlead_archive_bytes', 'Bytes of saved workspaces on disk');

/** A restore may take so much longer than a save, else what was just saved in time could never come back. */
const RESTORE_TIMES = 2;
const STALL_MS = 20_000;

const SESSION = /^[A-Za-z0-9_-]{1,128}$/;
const SERVER = /^[a-zA-Z0-9_-]{1,32}$/;
const FILE_NAME = /^([A-Za-z0-9_-]{1,128})~([a-zA-Z0-9_-]{1,32})\.tar\.lz4(\.broken-\d+)?$/;

export interface ArchivesOptions {
  /** Created on load, mode 0700. */
  folder: string;
  /** Limit of a tar before compression, in which holes are zeros. */
  maxBytes: number;
  /** Size of a sandbox's /workspace; absent: `maxBytes`. */
  workspaceBytes?: number;
  /** Limit of one save or restore, without its time in the queue. */
  timeoutMs: number;
  /** A save whose sandbox sends nothing for so long ends. */
  stallMs?: number;
  /** The save of this session and server has so many bytes now; each that is there is told at the load, too. */
  onBytes?: ((session: string, server: string, bytes: number) => void) | undefined;
  log: Logger;
}

/** A save, with its bytes on disk. */
export interface Saved extends SavedWorkspace {
  bytes: number;
}

interface Turn {
  session: string;
  server: string;
  signal: AbortSignal | undefined;
  timeoutMs: number;
}

export interface SaveOptions extends Pick<SaveJob, 'signature' | 'pace'> {
  signal?: AbortSignal | undefined;
  /** In place of the options' own. */
  timeoutMs?: number | undefined;
}

/** Runs one job at a time per session and server. After a failed restore the sandbox may hold half of the files: destroy it. */
export class Archives {
  readonly #options: ArchivesOptions;
  readonly #queue = new SessionQueue();
  /** By file: the workspace was found as saved again at this time. */
  readonly #unchanged = new Map<string, { savedAt: number; at: number }>();
  #loaded: Promise<void> | undefined;

  constructor(options: ArchivesOptions) {
    this.#options = options;
  }

  /** Creates the folder, and removes files that a crash left half written. Once; ERR_SANDBOX. */
  load(): Promise<void> {
    this.#loaded ??= this.#load().catch((error: unknown) => {
      throw new FairleadError('ERR_SANDBOX', `the folder of saved workspaces cannot be used: ${messageOf(error)}`, {
        cause: error,
      });
    });
    return this.#loaded;
  }

  async #load(): Promise<void> {
    const { folder, log } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    for (const name of await readdir(folder)) {
      if (name.endsWith('.tmp')) await rm(join(folder, name), { recursive: true, force: true });
      else if (FILE_NAME.test(name)) this.#countFound(name);
      else log.warn({ file: name }, 'an unknown file among the archives');
    }
  }

  #countFound(name: string): void {
    const bytes = sizeOf(join(this.#options.folder, name));
    this.#count(1, bytes);
    const [, session, server, broken] = FILE_NAME.exec(name) ?? [];
    if (session && server && broken === undefined) this.#options.onBytes?.(session, server, bytes);
  }

  /** Tells all sizes again, for somebody who did not count until now. */
  async tellSizes(): Promise<void> {
    const { folder, onBytes } = this.#options;
    for (const name of await readdir(folder)) {
      const [, session, server, broken] = FILE_NAME.exec(name) ?? [];
      if (session && server && broken === undefined) onBytes?.(session, server, sizeOf(join(folder, name)));
    }
  }

  get limits(): Pick<ArchivesOptions, 'maxBytes' | 'timeoutMs'> {
    return this.#options;
  }

  /** On the disk of the archives. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#options.folder);
    return bavail * bsize;
  }

  /** The folder is the index: a hibernated session costs no memory, and a lease costs one stat, some microseconds. */
  has(session: string, server: string): boolean {
    return existsSync(this.#pathOf(session, server));
  }

  /** Sessions with an archive, broken ones included. Reads the folder. */
  async sessions(): Promise<string[]> {
    const names = await readdir(this.#options.folder);
    return [...new Set(names.flatMap((name) => FILE_NAME.exec(name)?.[1] ?? []))];
  }

  /** Its archives that are not broken. Reads the folder. */
  async savesOf(session: string): Promise<{ server: string; path: string }[]> {
    const { folder } = this.#options;
    const found = (await readdir(folder)).flatMap((name) => {
      const [, of, server, broken] = FILE_NAME.exec(name) ?? [];
      return of === session && server && broken === undefined ? [{ server, path: join(folder, name) }] : [];
    });
    return found.toSorted((a, b) => (a.server < b.server ? -1 : 1));
  }

  /** The newest archive, by what it says about itself; undefined: there is none, or it cannot be read. */
  async newest(session: string, server: string): Promise<SavedWorkspace | undefined> {
    try {
      const path = this.#pathOf(session, server);
      return this.#describe(path, await ArchiveReader.peek(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      this.#options.log.warn({ err: error, session, server }, 'an archive cannot be read');
      return undefined;
    }
  }

  /**
   * `bytes` on disk; an empty workspace leaves no file and gives zeros. What cannot be read, or could not be restored, is
   * `skipped`. After any error an older archive and the sandbox are unchanged. ERR_SANDBOX: nothing can be read, a full disk,
   * no tar in the image, too slow, restarted meanwhile. ERR_UNAVAILABLE: Docker does not answer. When `signal` aborts, its reason.
   */
  save(session: string, server: string, sandbox: RunningSandbox, options: SaveOptions = {}): Promise<SaveResult> {
    const { signal, timeoutMs = this.#options.timeoutMs, signature, pace } = options;
    const { maxBytes, workspaceBytes = maxBytes, stallMs = STALL_MS, log } = this.#options;
    return this.#inTurn({ session, server, signal, timeoutMs }, async (cut) => {
      const path = this.#pathOf(session, server);
      const temporary = `${path}.tmp`;
      try {
        const limits = { maxBytes, workspaceBytes, stallMs };
        const saved = await saveWorkspace({ path: temporary, server, sandbox, ...limits, signature, pace, cut, log });
        cut.throwIfAborted();
        // A container that somebody restarted meanwhile is empty, and its death may not be known yet.
        await sandbox.confirmUnbroken?.(cut);
        if (saved.unchanged) {
          await this.#noteUnchanged(path, saved.savedAt);
          return saved;
        }
        const before = sizeOf(path);
        if (saved.bytes > 0) await rename(temporary, path).catch(throwDisk);
        else await rm(path, { force: true });
        this.#unchanged.delete(path);
        this.#count((saved.bytes > 0 ? 1 : 0) - (before > 0 ? 1 : 0), saved.bytes - before);
        this.#options.onBytes?.(session, server, saved.bytes);
        await this.#syncFolder();
        return saved;
      } finally {
        await rm(temporary, { force: true });
      }
    });
  }

  /**
   * Restores into a fresh sandbox; undefined without an archive. The archive stays: until the next save it is the newest.
   * ERR_SANDBOX, in words for the user: the archive is broken and kept under another name, or the sandbox did not take it.
   * ERR_UNAVAILABLE: Docker does not answer; when `signal` aborts, its reason.
   */
  restore(
    session: string,
    server: string,
    sandbox: RunningSandbox,
    signal?: AbortSignal,
  ): Promise<SavedWorkspace | undefined> {
    const timeoutMs = this.#options.timeoutMs * RESTORE_TIMES;
    return this.#inTurn({ session, server, signal, timeoutMs }, async (cut) => {
      if (!this.has(session, server)) return undefined;
      const archive = await this.#open(session, server, cut);
      try {
        await unpack({ archive, server, sandbox, cut, log: this.#options.log });
      } finally {
        await archive.close();
      }
      cut.throwIfAborted();
      return this.#describe(this.#pathOf(session, server), archive.info);
    });
  }

  /** Undefined: there is none. Not in turn, since a save that replaces it leaves the opened file as it is. Errors as `restore`. */
  async openToRead(session: string, server: string, signal: AbortSignal): Promise<ArchiveReader | undefined> {
    return this.has(session, server) ? this.#open(session, server, signal) : undefined;
  }

  #describe(path: string, { savedAt, files, skipped }: SavedWorkspace): SavedWorkspace {
    const later = this.#unchanged.get(path);
    return { savedAt: later?.savedAt === savedAt ? later.at : savedAt, files, skipped };
  }

  async #noteUnchanged(path: string, at: number): Promise<void> {
    if (existsSync(path)) this.#unchanged.set(path, { savedAt: (await ArchiveReader.peek(path)).savedAt, at });
  }

  #count(files: number, bytes: number): void {
    archivesOnDisk.inc(files);
    bytesOnDisk.inc(bytes);
  }

  /** Cancels the session's jobs, then removes its archives, broken ones included. Idempotent. */
  async forget(session: string): Promise<void> {
    check(session, SESSION, 'session');
    await this.#queue.cancelAll(session, new FairleadError('ERR_CANCELLED', 'the session has ended'), async () => {
      const { folder } = this.#options;
      for (const name of await readdir(folder)) {
        if (FILE_NAME.exec(name)?.[1] !== session) continue;
        const path = join(folder, name);
        const bytes = sizeOf(path);
        await rm(path, { force: true });
        this.#unchanged.delete(path);
        this.#count(-1, -bytes);
      }
    });
  }

  #pathOf(session: string, server: string): string {
    check(session, SESSION, 'session');
    check(server, SERVER, 'server');
    return join(this.#options.folder, `${session}~${server}.tar.lz4`);
  }

  async #inTurn<T>({ session, server, signal, timeoutMs }: Turn, work: (cut: AbortSignal) => Promise<T>): Promise<T> {
    this.#pathOf(session, server);
    return this.#queue.run(session, server, signal, async (controller) => {
      const late = new FairleadError(
        'ERR_SANDBOX',
        `saving or restoring the files of ${server} took longer than ${timeoutMs} ms`,
      );
      // Not withDeadline, which would not wait for `work`: the session's next job would begin beside it.
      const timer = setTimeout(() => controller.abort(late), timeoutMs);
      try {
        return await work(controller.signal);
      } catch (error) {
        controller.signal.throwIfAborted();
        throw error;
      } finally {
        clearTimeout(timer);
        controller.abort(); // ends programs that still run
      }
    });
  }

  async #open(session: string, server: string, cut: AbortSignal): Promise<ArchiveReader> {
    try {
      return await ArchiveReader.open(this.#pathOf(session, server), cut);
    } catch (error) {
      cut.throwIfAborted();
      if (error instanceof BrokenArchive) return await this.#keepAside(session, server, error);
      throw new FairleadError('ERR_UNAVAILABLE', `the archive of ${server} cannot be read: ${messageOf(error)}`, {
        cause: error,
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
  }

  async #keepAside(session: string, server: string, error: BrokenArchive): Promise<never> {
    const { folder, log } = this.#options;
    const path = this.#pathOf(session, server);
    let number = 1;
    const name = (): string => `${session}~${server}.tar.lz4.broken-${number}`;
    while (existsSync(join(folder, name()))) number++;
    await rename(path, join(folder, name()));
    await this.#syncFolder();
    this.#options.onBytes?.(session, server, 0);
    log.error({ session, server, file: join(folder, name()), reason: error.message }, 'an archive is broken');
    throw lostFilesError(
      server,
      `the archive is damaged (${error.message}) and is kept for the operator as ${name()}`,
      error,
    );
  }

  /** A rename is durable only when its folder is synced. */
  async #syncFolder(): Promise<void> {
    const handle = await open(this.#options.folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** 0 without a file. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Both become parts of a file's name. */
function check(value: string, allowed: RegExp, what: string): void {
  if (!allowed.test(value)) throw new FairleadError('ERR_INTERNAL', `not a ${what}: ${JSON.stringify(value)}`);
}
