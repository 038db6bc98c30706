/** Packs folders of workspaces for their users: out of the sandbox where the session has one, else out of its save. Docker thread. */
import { z } from 'zod';
import { FairleadError } from '../../../src/shared/errors.js';
import type { BytePath } from '../../workspace/names.js';
import type { ArchiveReader } from '../archive/archive-file.js';
import type { Archives } from '../archive/archives.js';
import type { ArchiveFormat, PackFilesRequest, PackFilesResult } from '../contract/files.js';
import type { RunningSandbox } from '../driver/driver.js';
import { canPackArchived } from './archive-files.js';
import { entriesOfArchive, entriesOfRun, type Entry } from './entries.js';
import { fileError } from './file-errors.js';
import { pathOf } from './file-paths.js';
import { ReadPort } from './file-ports.js';
import type { Files } from './files.js';
import { HelperRun } from './helper-run.js';
import { packed } from './pack.js';

/** Packing takes the time of processors, which all users share. */
const AT_ONCE = 16;
const RETRY_MS = 5_000;

const beginShape = z.strictObject({ begin: z.literal(true) });

export interface PackingOptions {
  files: Pick<Files, 'sandboxOf'>;
  archives: Pick<Archives, 'openToRead' | 'limits'>;
}

interface Source {
  entries: AsyncGenerator<Entry>;
  close: () => Promise<void> | void;
}

export class Packing {
  readonly #options: PackingOptions;
  #running = 0;

  constructor(options: PackingOptions) {
    this.#options = options;
  }

  /** Errors as `Files.list`. The port gets the bytes; it is closed at the end, and when this rejects. */
  async pack(request: PackFilesRequest): Promise<PackFilesResult> {
    const port = new ReadPort(request.port);
    if (this.#running >= AT_ONCE) {
      port.close();
      const text = `${AT_ONCE} archives are being made: try again when one is done`;
      throw new FairleadError('ERR_UNAVAILABLE', text, { retryAfterMs: RETRY_MS });
    }
    this.#running++;
    let source: Source | undefined;
    try {
      const path = pathOf(request.path);
      const sandbox = await this.#options.files.sandboxOf(request);
      source = sandbox ? await this.#live(sandbox, path, port) : await this.#saved(request, path, port);
    } catch (error) {
      this.#running--;
      port.close();
      throw error;
    }
    if (source) void this.#send(source, request.format, port).finally(() => this.#running--);
    else {
      this.#running--;
      port.close();
    }
    return { packed: source !== undefined };
  }

  async #live(sandbox: RunningSandbox, path: BytePath, port: ReadPort): Promise<Source> {
    const { maxBytes } = this.#options.archives.limits;
    const run = await HelperRun.start(sandbox, { op: 'archive', path, size: maxBytes }, port.closed);
    try {
      const { success } = beginShape.safeParse(await run.line());
      if (!success) throw new FairleadError('ERR_SANDBOX', 'the program for files does not begin as it should');
      return { entries: entriesOfRun(run, maxBytes), close: () => run.close() };
    } catch (error) {
      run.close();
      throw error;
    }
  }

  async #saved(
    { session, server, format }: PackFilesRequest,
    path: BytePath,
    port: ReadPort,
  ): Promise<Source | undefined> {
    const archive = await this.#options.archives.openToRead(session, server, port.closed);
    if (!archive) {
      if (path !== '') throw fileError('ENOENT', path);
      return { entries: nothing(), close: () => undefined };
    }
    try {
      if (await canPack(archive, path, format)) {
        return { entries: entriesOfArchive(archive, path), close: () => archive.close() };
      }
    } catch (error) {
      await archive.close();
      throw error;
    }
    await archive.close();
    return undefined;
  }

  /** Never rejects. */
  async #send({ entries, close }: Source, format: ArchiveFormat, port: ReadPort): Promise<void> {
    try {
      for await (const chunk of packed(entries, format)) await port.send(chunk);
      port.end();
    } catch (error) {
      port.fail(error);
    } finally {
      port.close();
      await close();
    }
  }
}

/** A tar of all can stand for everything that is in a save, so that is not read twice. */
async function canPack(archive: ArchiveReader, path: BytePath, format: ArchiveFormat): Promise<boolean> {
  return (path === '' && format === 'tar.gz') || canPackArchived(archive, path, format === 'tar.gz');
}

async function* nothing(): AsyncGenerator<Entry> {
  // There was never a file.
}
