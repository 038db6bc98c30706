/**
 * The files of sessions' workspaces, for their users: in the sandbox, as the user of its tools, where the session has one; else in
 * its save. What changes them is asked of a sandbox that the session holds meanwhile. Docker thread.
 */
import { bulkhead, BulkheadRejectedError } from 'cockatiel';
import { z } from 'zod';
import { withDeadline } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { freeNow } from '../../../src/shared/threads/free-now.js';
import { shownPath, type BytePath } from '../../workspace/names.js';
import type { ArchiveReader } from '../archive/archive-file.js';
import type { Archives } from '../archive/archives.js';
import type { Workspaces } from '../archive/workspaces.js';
import type {
  DeleteFileRequest,
  FileStat,
  ListedFile,
  ListFilesRequest,
  ListFilesResult,
  MoveFileRequest,
  OpenFileRequest,
  OpenFileResult,
  WorkspaceOf,
  WriteFileRequest,
  WriteFileResult,
} from '../contract/files.js';
import type { RunningSandbox } from '../driver/driver.js';
import type { Lease } from '../lease/lease.js';
import type { Leases } from '../lease/leases.js';
import { listArchived, openArchived } from './archive-files.js';
import { fileError } from './file-errors.js';
import { pathOf } from './file-paths.js';
import { ReadPort, WritePort } from './file-ports.js';
import { HelperRun, type HelperAsk } from './helper-run.js';

/** Each reads a whole save in this thread. */
const ARCHIVES_AT_ONCE = 2;
const ARCHIVES_WAITING = 50;
/** Of one page. */
const MAX_PATHS_BYTES = 1_048_576;
const ASK_MS = 120_000;
const RETRY_MS = 1_000;
const EMPTY = { files: [] };

const statParts = [
  z.enum(['file', 'folder', 'link', 'other']),
  z.number().int().min(0),
  z.number().int(),
  z
    .string()
    .max(100)
    .regex(/^\d+\.-?\d+\.-?\d+\.\d+$/),
] as const;
const statShape = z.tuple(statParts);
const lineShape = z.union([
  z.tuple([z.string().min(1).max(4_096), ...statParts]),
  z.strictObject({ more: z.literal(true) }),
  z.strictObject({ end: z.literal(true) }),
]);
const headShape = z.strictObject({ stat: statShape.optional() });
const doneShape = z.strictObject({ done: statShape });

export interface FilesOptions {
  leases: Pick<Leases, 'all' | 'noteChange'>;
  workspaces: Pick<Workspaces, 'settled' | 'newest'>;
  archives: Pick<Archives, 'openToRead'>;
}

export class Files {
  readonly #options: FilesOptions;
  readonly #reading = bulkhead(ARCHIVES_AT_ONCE, ARCHIVES_WAITING);
  /** By workspace: the change under way that is checked against what is there. Never rejects. */
  readonly #changes = new Map<string, Promise<unknown>>();

  constructor(options: FilesOptions) {
    this.#options = options;
  }

  /** ERR_BAD_PATH, ERR_NO_SUCH_FILE, ERR_FILE_CONFLICT, ERR_SANDBOX, ERR_UNAVAILABLE. Undefined: only a sandbox can say. */
  async list(request: ListFilesRequest): Promise<ListFilesResult | undefined> {
    const { recursive, limit } = request;
    const path = pathOf(request.path);
    const after = request.after === undefined ? undefined : pathOf(request.after);
    const sandbox = await this.sandboxOf(request);
    if (sandbox) return paged(await this.#listIn(sandbox, { op: 'list', path, recursive, after, limit }), limit);
    const listed = await this.#inArchive(request, (archive) =>
      listArchived(archive, { path, recursive, after, limit }),
    );
    if (listed === 'no archive') {
      if (path !== '') throw fileError('ENOENT', path);
      return EMPTY;
    }
    const saved = await this.#options.workspaces.newest(request);
    return listed && { ...paged(listed, limit), ...(saved && { savedAt: saved.savedAt }) };
  }

  /** Errors as `list`. The port gets the bytes; it is closed at the end, and when this rejects. */
  async open(request: OpenFileRequest): Promise<OpenFileResult> {
    const port = new ReadPort(request.port);
    try {
      const path = pathOf(request.path);
      const sandbox = await this.sandboxOf(request);
      const opened = sandbox ? await this.#openIn(sandbox, path, port) : await this.#openSaved(request, path, port);
      if (!opened) port.close();
      return opened ? { stat: opened } : {};
    } catch (error) {
      port.close();
      throw error;
    }
  }

  /** Errors as `list`; ERR_NO_SPACE; the session must have a sandbox, else ERR_UNAVAILABLE. The port takes the bytes, and closes at the end. */
  async write(request: WriteFileRequest): Promise<WriteFileResult> {
    const port = new WritePort(request.port);
    try {
      const { lease, running } = this.#heldBy(request);
      const ask: HelperAsk = { op: 'write', path: pathOf(request.path), size: request.size };
      const run = await HelperRun.start(running, ask, port.closed);
      try {
        const { stat } = parsed(headShape, await run.line());
        void this.#take(run, port, request, lease);
        return stat ? { stat: toStat(stat) } : {};
      } catch (error) {
        run.close();
        throw error;
      }
    } catch (error) {
      port.close();
      throw error;
    }
  }

  async delete(request: DeleteFileRequest): Promise<void> {
    const { recursive, expect } = request;
    await this.#change(request, { op: 'delete', path: pathOf(request.path), recursive, expect });
  }

  async move(request: MoveFileRequest): Promise<void> {
    const { overwrite } = request;
    await this.#change(request, { op: 'move', path: pathOf(request.from), to: pathOf(request.to), overwrite });
  }

  async #change(of: WorkspaceOf, ask: HelperAsk): Promise<void> {
    const { lease, running } = this.#heldBy(of);
    await this.#alone(of, async () => {
      this.#options.leases.noteChange(lease);
      const run = await HelperRun.start(running, ask, AbortSignal.timeout(ASK_MS));
      try {
        await run.line();
      } finally {
        run.close();
        this.#options.leases.noteChange(lease);
      }
    });
  }

  /** Takes the bytes of an upload to its end. Never rejects. */
  async #take(run: HelperRun, port: WritePort, of: WorkspaceOf, lease: Lease): Promise<void> {
    try {
      this.#options.leases.noteChange(lease);
      const answer = run.line(Infinity);
      answer.catch((error: unknown) => {
        port.stop(error); // at any time: there is no room
        run.over();
      });
      let part = await port.next();
      for (; part.type === 'data'; part = await port.next()) {
        const { length } = part.data;
        if (await run.frame('D', part.data)) freeNow(part.data);
        port.taken(length);
      }
      const { expect } = part;
      const { done } = await this.#alone(of, async () => {
        await run.frame('C', Buffer.from(JSON.stringify({ expect }), 'latin1'));
        return parsed(doneShape, await withDeadline({ timeoutMs: ASK_MS, late }, () => answer));
      });
      this.#options.leases.noteChange(lease);
      port.done(toStat(done));
    } catch (error) {
      port.fail(error);
    } finally {
      run.close();
      port.close();
    }
  }

  /** What is compared with what is there happens one after the other. */
  async #alone<T>({ session, server }: WorkspaceOf, work: () => Promise<T>): Promise<T> {
    const key = `${session} ${server}`;
    const before = this.#changes.get(key);
    const mine = (async () => {
      await before;
      return work();
    })();
    const settled = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#changes.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#changes.get(key) === settled) this.#changes.delete(key);
    }
  }

  async #listIn(sandbox: RunningSandbox, ask: HelperAsk & { limit: number }): Promise<ListedFile[]> {
    const run = await HelperRun.start(sandbox, ask, AbortSignal.timeout(ASK_MS));
    try {
      const files: ListedFile[] = [];
      for (;;) {
        const line = parsed(lineShape, await run.line());
        if (!Array.isArray(line)) {
          // As an archive's list, it has one more than is asked for where there are more.
          const last = files.at(-1);
          return 'more' in line && last ? [...files, last] : files;
        }
        const [path, ...stat] = line;
        files.push({ path: shownPath(path as BytePath), ...toStat(stat) });
        if (files.length > ask.limit) throw new FairleadError('ERR_SANDBOX', 'the list of files is too long');
      }
    } finally {
      run.close();
    }
  }

  async #openIn(sandbox: RunningSandbox, path: BytePath, port: ReadPort): Promise<FileStat> {
    const run = await HelperRun.start(sandbox, { op: 'read', path }, port.closed);
    try {
      const { stat } = parsed(headShape, await run.line());
      if (!stat) throw new FairleadError('ERR_SANDBOX', 'the program for files does not say what the file is');
      void this.#send(port, async function* (from, length) {
        await run.write(`${JSON.stringify({ from, length })}\n`);
        yield* run.bytes();
      }).finally(() => run.close());
      return toStat(stat);
    } catch (error) {
      run.close();
      throw error;
    }
  }

  async #openSaved(of: WorkspaceOf, path: BytePath, port: ReadPort): Promise<FileStat | undefined> {
    const { archives } = this.#options;
    const archive = await archives.openToRead(of.session, of.server, port.closed);
    if (!archive) throw fileError('ENOENT', path);
    try {
      const file = await this.#inTurn(() => openArchived(archive, path));
      if (!file) {
        await archive.close();
        return undefined;
      }
      const reading = this.#send(port, (from, length) => sliced(file.content(), from, length));
      void reading.finally(() => archive.close());
      return file.stat;
    } catch (error) {
      await archive.close();
      throw error;
    }
  }

  /** Sends what is asked for, exactly. Never rejects. */
  async #send(port: ReadPort, bytes: (from: number, length: number) => AsyncGenerator<Buffer>): Promise<void> {
    try {
      const { from, length } = await port.range();
      let left = length;
      if (left > 0) {
        for await (const chunk of bytes(from, length)) {
          const part = chunk.subarray(0, left);
          left -= part.length;
          await port.send(part);
          if (left === 0) break;
        }
      }
      if (left > 0) throw new FairleadError('ERR_FILE_CHANGED', 'the file became shorter while it was read');
      port.end();
    } catch (error) {
      port.fail(error);
    } finally {
      port.close();
    }
  }

  async #inArchive<T>(
    { session, server }: WorkspaceOf,
    work: (archive: ArchiveReader) => Promise<T>,
  ): Promise<T | 'no archive'> {
    const signal = AbortSignal.timeout(ASK_MS);
    return this.#inTurn(async () => {
      const archive = await this.#options.archives.openToRead(session, server, signal);
      if (!archive) return 'no archive';
      try {
        return await work(archive);
      } finally {
        await archive.close();
      }
    });
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#reading.execute(work);
    } catch (error) {
      if (!(error instanceof BulkheadRejectedError)) throw error;
      const text = 'too many saved workspaces are being read';
      throw new FairleadError('ERR_UNAVAILABLE', text, { cause: error, retryAfterMs: RETRY_MS });
    }
  }

  /** Undefined: it has none now. One that is being saved is waited for. */
  async sandboxOf(of: WorkspaceOf): Promise<RunningSandbox | undefined> {
    const lease = this.#leaseOf(of);
    if (lease && !lease.leaving && !lease.dead) return this.#heldBy(of).running;
    await lease?.leaving;
    await this.#options.workspaces.settled(of);
    return undefined;
  }

  #heldBy(of: WorkspaceOf): { lease: Lease; running: RunningSandbox } {
    const lease = this.#leaseOf(of);
    const running = lease?.sandbox.running;
    if (lease && running && !lease.dead && !lease.leaving) return { lease, running };
    throw new FairleadError('ERR_UNAVAILABLE', 'the session’s sandbox cannot be reached just now: try again', {
      retryAfterMs: RETRY_MS,
    });
  }

  #leaseOf({ session, server }: WorkspaceOf): Lease | undefined {
    return this.#options.leases.all().find((lease) => lease.session === session && lease.server === server);
  }
}

/** `listed` has one more than `limit` where there are more. */
function paged(listed: readonly ListedFile[], limit: number): ListFilesResult {
  const files: ListedFile[] = [];
  let bytes = 0;
  for (const file of listed.slice(0, limit)) {
    bytes += file.path.length;
    if (bytes > MAX_PATHS_BYTES && files.length > 0) break;
    files.push(file);
  }
  const last = files.at(-1);
  return { files, ...(last && listed.length > files.length && { next: last.path }) };
}

async function* sliced(source: AsyncGenerator<Buffer>, from: number, length: number): AsyncGenerator<Buffer> {
  let at = 0;
  for await (const chunk of source) {
    const part = chunk.subarray(Math.max(0, from - at), Math.max(0, from + length - at));
    at += chunk.length;
    if (part.length > 0) yield part;
    if (at >= from + length) return;
  }
}

function toStat([type, size, mtimeMs, version]: z.infer<typeof statShape>): FileStat {
  return { type, size, mtimeMs, version };
}

function late(): FairleadError {
  return new FairleadError('ERR_SANDBOX', 'the program for files does not end the upload');
}

function parsed<T>(shape: z.ZodType<T>, value: unknown): T {
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  throw new FairleadError('ERR_SANDBOX', 'the program for files in the sandbox does not answer as it should');
}
