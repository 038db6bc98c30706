/** Saves a sandbox's /workspace as a checked archive and restores it, with the tar of the sandbox. Docker thread. */
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { untilAborted } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { SavedWorkspace } from '../contract/messages.js';
import { ArchiveReader, ArchiveWriter, BrokenArchive, compressor } from './archive-file.js';
import { foldersOnly, inPieces, pathsOfMode, TarCounter, withOpenFolders } from './archive-tar.js';
import { exitError, streamError, lostFilesError, RETRY_AFTER_MS, messageOf, throwDisk } from './archive-errors.js';
import type { RunningSandbox, SandboxProgram } from '../driver/driver.js';
import { SessionQueue } from './session-queue.js';

const STDERR_KEPT = 1_000;
const PIECE_BYTES = 65_536;
const FOLDERS_FAILED = 90;
const SESSION = /^[A-Za-z0-9_-]{1,128}$/;
const SERVER = /^[a-zA-Z0-9_-]{1,32}$/;
const FILE_NAME = /^([A-Za-z0-9_-]{1,128})~([a-zA-Z0-9_-]{1,32})\.tar\.lz4(\.broken-\d+)?$/;

/**
 * `$0` is the workspace. GNU tar exits with 1 when a file changed or vanished while it was read, which is fine in a live
 * copy; busybox exits with 1 for every failure. Both skip sockets with a warning.
 */
const SAVE = `LC_ALL=C tar -C "$0" -cf - .
code=$?
if [ "$code" = 1 ]; then case "$(tar --version 2>/dev/null)" in *"GNU tar"*) code=0 ;; esac; fi
exit "$code"`;
/**
 * `$1` is tar's options, `$2` the number of pieces of the tar, `$3` whether a second tar with only the folders follows on
 * the same input: unpacking into a folder changes its time, and the second tar sets it again. One program unpacks both,
 * since a start takes longer than the second tar. dd keeps the first tar from reading on; its exit code goes around the
 * pipe, which returns tar's. `umask 0`: busybox tar has no -p and applies the umask to all modes.
 */
const UNPACK = `umask 0; export LC_ALL=C
fed=$({ { dd bs=${PIECE_BYTES} count="$2" iflag=fullblock status=none; echo "$?" >&3; } | tar -C "$0" "$1" - >&2; } 3>&1) || exit
[ "$fed" = 0 ] || { echo "dd ended with code $fed" >&2; exit 1; }
[ "$3" = 0 ] || tar -C "$0" "$1" - || exit ${FOLDERS_FAILED}`;
const SET_MODE = 'cd "$0" && exec xargs -0 chmod "$1"';

export interface ArchivesOptions {
  /** Created on load, mode 0700. */
  folder: string;
  /** Limit of a tar before compression. */
  maxBytes: number;
  /** Limit of one save or restore, without its time in the queue. */
  timeoutMs: number;
  log: Logger;
}

/** A save, with its bytes on disk. */
export interface Saved extends SavedWorkspace {
  bytes: number;
}

/** Runs one job at a time per session and server. After a failed restore the sandbox may hold half of the files: destroy it. */
export class Archives {
  readonly #options: ArchivesOptions;
  readonly #queue = new SessionQueue();
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
      else if (!FILE_NAME.test(name)) log.warn({ file: name }, 'an unknown file among the archives');
    }
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

  /** The newest archive, by what it says about itself; undefined: there is none, or it cannot be read. */
  async newest(session: string, server: string): Promise<SavedWorkspace | undefined> {
    try {
      const { savedAt, files, skipped } = await ArchiveReader.peek(this.#pathOf(session, server));
      return { savedAt, files, skipped };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      this.#options.log.warn({ err: error, session, server }, 'an archive cannot be read');
      return undefined;
    }
  }

  /**
   * `bytes` on disk; an empty workspace leaves no file and gives zeros. After any error an older archive and the sandbox are
   * unchanged. ERR_SANDBOX: too large, an unreadable file, a full disk, no tar in the image, too slow. ERR_UNAVAILABLE:
   * Docker does not answer. When `signal` aborts, its reason.
   */
  save(session: string, server: string, sandbox: RunningSandbox, signal?: AbortSignal): Promise<Saved> {
    return this.#inTurn(session, server, signal, async (cut) => {
      const path = this.#pathOf(session, server);
      const temporary = `${path}.tmp`;
      try {
        const saved = await this.#write(temporary, server, sandbox, cut);
        cut.throwIfAborted();
        if (saved.bytes > 0) await rename(temporary, path).catch(throwDisk);
        else await rm(path, { force: true });
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
    return this.#inTurn(session, server, signal, async (cut) => {
      if (!this.has(session, server)) return undefined;
      const archive = await this.#open(session, server, cut);
      try {
        await this.#unpack(archive, server, sandbox, cut);
      } finally {
        await archive.close();
      }
      cut.throwIfAborted();
      const { savedAt, files, skipped } = archive.info;
      return { savedAt, files, skipped };
    });
  }

  /** Cancels the session's jobs, then removes its archives, broken ones included. Idempotent. */
  async forget(session: string): Promise<void> {
    check(session, SESSION, 'session');
    await this.#queue.cancelAll(session, new FairleadError('ERR_CANCELLED', 'the session has ended'), async () => {
      const { folder } = this.#options;
      for (const name of await readdir(folder)) {
        if (FILE_NAME.exec(name)?.[1] === session) await rm(join(folder, name), { force: true });
      }
    });
  }

  #pathOf(session: string, server: string): string {
    check(session, SESSION, 'session');
    check(server, SERVER, 'server');
    return join(this.#options.folder, `${session}~${server}.tar.lz4`);
  }

  async #inTurn<T>(
    session: string,
    server: string,
    signal: AbortSignal | undefined,
    work: (cut: AbortSignal) => Promise<T>,
  ): Promise<T> {
    this.#pathOf(session, server);
    const { timeoutMs } = this.#options;
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

  /** 0 bytes for an empty workspace. */
  async #write(path: string, server: string, sandbox: RunningSandbox, cut: AbortSignal): Promise<Saved> {
    const { maxBytes, log } = this.#options;
    const savedAt = Date.now();
    const skipped = { count: 0, paths: [] };
    const writer = await ArchiveWriter.create(path).catch(throwDisk);
    try {
      const tar = await sandbox.exec(['sh', '-c', SAVE, folderIn(sandbox)], cut);
      const stderr = keepStderr(tar);
      tar.stdin.end();
      const counter = new TarCounter();
      const tooLarge = (): Error =>
        new FairleadError(
          'ERR_SANDBOX',
          `the workspace of ${server} is not saved: its tar exceeds the limit of ${inMib(maxBytes)} MB (sandbox.workspaceMb)`,
        );
      await pipeline(
        tar.stdout,
        (source: AsyncIterable<Buffer>) => counter.pass(source, maxBytes, tooLarge),
        compressor(),
        (source: AsyncIterable<Buffer>) => writer.write(source).catch(throwDisk),
        { signal: cut },
      ).catch((error: unknown) => {
        throw streamError(error, server);
      });
      const code = await untilAborted(cut, () => tar.exited);
      if (code !== 0) throw exitError(code, stderr(), `the workspace of ${server} is not saved`);
      if (counter.problem !== undefined) {
        throw new FairleadError('ERR_SANDBOX', `the workspace of ${server} is not saved: the tar: ${counter.problem}`);
      }
      if (stderr() !== '') log.warn({ server, tar: stderr() }, 'hibernate: tar printed warnings');
      const { bytes: tarBytes, files, folders } = counter;
      const info = { tarBytes, files, folders, savedAt, skipped };
      const bytes = files + folders === 0 ? 0 : await writer.finish(info).catch(throwDisk);
      return { bytes, savedAt, files, skipped };
    } finally {
      await writer.close();
    }
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
    log.error({ session, server, file: join(folder, name()), reason: error.message }, 'an archive is broken');
    throw lostFilesError(
      server,
      `the archive is damaged (${error.message}) and is kept for the operator as ${name()}`,
      error,
    );
  }

  async #unpack(archive: ArchiveReader, server: string, sandbox: RunningSandbox, cut: AbortSignal): Promise<void> {
    const { folders, tarBytes } = archive.info;
    const folder = folderIn(sandbox);
    const modes = new Set<number>();
    async function* tars(): AsyncGenerator<Buffer> {
      yield* inPieces(withOpenFolders(archive.tar(), modes), PIECE_BYTES);
      if (folders > 0) yield* foldersOnly(archive.tar());
    }
    const pieces = Math.ceil(tarBytes / PIECE_BYTES);
    const unpack = ['sh', '-c', UNPACK, folder, unpackOptions(sandbox), String(pieces), String(folders)];
    const what = `the saved files of ${server} could not be put back; they are kept for the next try`;
    const { code, stderr, unread } = await this.#feed(await sandbox.exec(unpack, cut), tars(), cut);
    if (code !== 0 && code !== FOLDERS_FAILED) throw exitError(code, stderr, what);
    if (unread) throw streamError(unread, server);
    // All files are there now: a folder's wrong time or mode is no reason to fail, unless the sandbox is gone.
    if (code === FOLDERS_FAILED)
      this.#options.log.warn({ server, tar: stderr }, 'restore: not all times of folders could be set');
    for (const mode of modes) {
      const octal = mode.toString(8).padStart(5, '0'); // GNU chmod clears a folder's set-id bits only with five digits
      const chmod = await sandbox.exec(['sh', '-c', SET_MODE, folder, octal], cut);
      const { code, stderr } = await this.#feed(chmod, pathsOfMode(archive.tar(), mode), cut);
      if (code === null) throw exitError(code, stderr, what);
      if (code !== 0)
        this.#options.log.warn({ server, mode: octal, chmod: stderr }, 'restore: not all modes could be set');
    }
  }

  /** `unread`: why the program did not read all of its input. Rejects when `cut` aborts. */
  async #feed(
    program: SandboxProgram,
    input: AsyncIterable<Buffer>,
    cut: AbortSignal,
  ): Promise<{ code: number | null; stderr: string; unread: unknown }> {
    const stderr = keepStderr(program);
    program.stdout.on('error', () => undefined).resume();
    const ended = new AbortController();
    // A stream, not the generator: pipeline waits for ever on a generator once the other side has closed the socket.
    const source = Readable.from(input, { objectMode: false });
    const feeding = pipeline(source, program.stdin, { signal: ended.signal }).then(
      () => undefined,
      (error: unknown) => error,
    );
    try {
      const code = await untilAborted(cut, () => program.exited);
      // It may have exited before it read everything: nobody takes the rest.
      ended.abort();
      return { code, stderr: stderr(), unread: await feeding };
    } finally {
      ended.abort();
      await feeding;
    }
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

/** In Docker it is always mounted there; the process driver runs programs in the workspace itself. */
function folderIn(sandbox: RunningSandbox): string {
  return sandbox.id.startsWith('process:') ? '.' : '/workspace';
}

/** In Docker all files belong to the sandbox's one user, so owners need not be looked up. */
function unpackOptions(sandbox: RunningSandbox): string {
  return sandbox.id.startsWith('process:') ? '-xpf' : '-xpof';
}

/** Reads stderr to its end, and keeps its start. */
function keepStderr({ stderr }: SandboxProgram): () => string {
  let text = '';
  stderr.on('error', () => undefined);
  stderr.on('data', (data: Buffer) => {
    if (text.length < STDERR_KEPT) text += data.toString('utf8', 0, STDERR_KEPT);
  });
  return () => text.trim().replaceAll('\n', '; ');
}

function inMib(bytes: number): number {
  return Math.round((bytes / 1_048_576) * 10) / 10;
}

/** Both become parts of a file's name. */
function check(value: string, allowed: RegExp, what: string): void {
  if (!allowed.test(value)) throw new FairleadError('ERR_INTERNAL', `not a ${what}: ${JSON.stringify(value)}`);
}
