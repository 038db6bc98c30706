/**
 * One small file per lease: after a crash they say which sandboxes were leased, and to whom. The folder is the index.
 * Docker thread.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { syncPath } from './sync-path.js';

/** Not a part of a container's name. */
const TEMPORARY = '~new';

const recordShape = z.strictObject({
  session: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
  server: z.string().regex(/^[a-zA-Z0-9_-]{1,32}$/),
  /** Key in `images`; absent: the server's own. */
  image: z
    .string()
    .regex(/^[a-zA-Z0-9_-]{1,32}$/)
    .optional(),
  /** How many clients its MCP server had before this one; each uses request ids of its own. */
  generation: z.number().int().min(0),
  /** A restore has begun and is not done: the archive counts, not the sandbox. */
  restoring: z.boolean(),
  /** Of the lease, ms since the epoch. Absent: 0.2.0 wrote it, which noted no changes. */
  leasedAt: z.number().optional(),
  /** As `RunningSandbox.startedAt`. */
  startedAt: z.string().optional(),
  /** Files may have changed since the newest save. */
  changed: z.boolean().optional(),
  /** Of a shared sandbox: whose calls changed them. */
  changedBy: z.array(z.string().regex(/^[A-Za-z0-9_-]{1,128}$/)).optional(),
});

export type LeaseRecord = z.infer<typeof recordShape>;

/**
 * Files are named after the sandbox. All calls are synchronous, so that nothing happens between a lease and its record.
 * A record of changed files is synced before the session sees a result of the change: after a power failure it says what is lost.
 */
export class LeaseRecords {
  readonly #folder: string;
  readonly #log: Logger;

  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Creates the folder, mode 0700. ERR_SANDBOX. */
  load(): void {
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw failed('the folder of lease records cannot be used', error);
    }
  }

  /** ERR_SANDBOX: nothing has changed, and a sandbox without a record must not be leased. */
  write(name: string, record: LeaseRecord): void {
    try {
      const path = this.#pathOf(name);
      writeFileSync(`${path}${TEMPORARY}`, JSON.stringify(record), { mode: 0o600 });
      renameSync(`${path}${TEMPORARY}`, path); // never half a record, which would be nobody's
    } catch (error) {
      this.remove(`${name}${TEMPORARY}`);
      throw failed('the lease of a sandbox could not be recorded', error);
    }
  }

  /** Resolves when the record is on the disk. Rejects with the disk's error. */
  async sync(name: string): Promise<void> {
    for (const path of [this.#pathOf(name), this.#folder]) await syncPath(path);
  }

  /** Empties the record: the sandbox was leased, and nobody may get it again. What is left of it is destroyed. */
  end(name: string): void {
    try {
      writeFileSync(this.#pathOf(name), '', { mode: 0o600 });
    } catch (error) {
      this.#log.warn({ err: error, container: name }, 'the end of a lease could not be recorded');
    }
  }

  /** For a sandbox that is gone or was never handed over. Idempotent. */
  remove(name: string): void {
    try {
      rmSync(this.#pathOf(name), { force: true });
    } catch (error) {
      this.#log.warn({ err: error, container: name }, 'a lease record could not be removed');
    }
  }

  /** Records by sandbox name. undefined: it was leased, and its session is unknown or has ended. ERR_SANDBOX. */
  read(): Map<string, LeaseRecord | undefined> {
    try {
      const files = readdirSync(this.#folder, { withFileTypes: true }).filter(
        (entry) => entry.isFile() && !entry.name.endsWith(TEMPORARY),
      );
      return new Map(files.map(({ name }) => [name, parse(readFileSync(this.#pathOf(name), 'utf8'))]));
    } catch (error) {
      throw failed('the lease records of an earlier run cannot be read', error);
    }
  }

  #pathOf(name: string): string {
    return join(this.#folder, name);
  }
}

/** Whether files of the session go with this sandbox. 0.2.0 did not say. */
export function mayHaveChanged({ changed, leasedAt }: LeaseRecord): boolean {
  return changed ?? leasedAt === undefined;
}

/** Undefined for a torn or empty record, and for one of another version. */
function parse(text: string): LeaseRecord | undefined {
  try {
    return recordShape.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

function failed(what: string, cause: unknown): FairleadError {
  return new FairleadError('ERR_SANDBOX', `${what}: ${(cause as Error).message}`, { cause });
}
