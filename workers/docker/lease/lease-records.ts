/**
 * Who has which sandbox, as a small file each that outlives this thread: after a crash it is certain which ones somebody had.
 * The folder is the index. Docker thread.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';

const recordShape = z.strictObject({
  session: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
  server: z.string().regex(/^[a-zA-Z0-9_-]{1,32}$/),
  /** How many clients its MCP server had before this one; each has request ids of its own. */
  generation: z.number().int().min(0),
  /** Written before its saved files were put back: while they are there, they and not the sandbox are the truth. */
  restoring: z.boolean(),
});

export type LeaseRecord = z.infer<typeof recordShape>;

/**
 * By the sandbox's name. All of it is synchronous: between the moment a sandbox is somebody's and its file nothing else
 * happens. Not synced to the disk: a machine that loses its memory loses its containers with it.
 */
export class LeaseRecords {
  readonly #folder: string;
  readonly #log: Logger;

  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Makes the folder, 0700. ERR_SANDBOX. */
  load(): void {
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw failed('the folder of leases cannot be used', error);
    }
  }

  /** ERR_SANDBOX, and nothing is written: then the sandbox must not become anybody's. */
  write(name: string, record: LeaseRecord): void {
    try {
      writeFileSync(this.#pathOf(name), JSON.stringify(record), { mode: 0o600 });
    } catch (error) {
      this.remove(name);
      throw failed('the lease of a sandbox could not be written down', error);
    }
  }

  /** Nobody's any more, and not to be anybody's: an empty record. What is left of the sandbox is destroyed. */
  end(name: string): void {
    try {
      writeFileSync(this.#pathOf(name), '', { mode: 0o600 });
    } catch (error) {
      this.#log.warn({ err: error, container: name }, 'a lease that has ended could not be written down');
    }
  }

  /** When the sandbox is gone, or was given to nobody. Twice is fine. */
  remove(name: string): void {
    try {
      rmSync(this.#pathOf(name), { force: true });
    } catch (error) {
      this.#log.warn({ err: error, container: name }, 'the record of a lease stays for now');
    }
  }

  /** By name; undefined: somebody had it, and who that was is not known, or must not be any more. ERR_SANDBOX. */
  read(): Map<string, LeaseRecord | undefined> {
    try {
      const files = readdirSync(this.#folder, { withFileTypes: true }).filter((entry) => entry.isFile());
      return new Map(files.map(({ name }) => [name, parse(readFileSync(this.#pathOf(name), 'utf8'))]));
    } catch (error) {
      throw failed('the leases of an earlier run cannot be read', error);
    }
  }

  #pathOf(name: string): string {
    return join(this.#folder, name);
  }
}

/** Torn, empty or of another version: undefined. */
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
