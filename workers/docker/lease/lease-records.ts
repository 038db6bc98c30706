/**
 * One small file per lease: after a crash they say which sandboxes were leased, and to whom. The folder is the index.
 * Docker thread.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';

const recordShape = z.strictObject({
  session: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
  server: z.string().regex(/^[a-zA-Z0-9_-]{1,32}$/),
  /** How many clients its MCP server had before this one; each uses request ids of its own. */
  generation: z.number().int().min(0),
  /** A restore has begun and is not done: the archive counts, not the sandbox. */
  restoring: z.boolean(),
});

export type LeaseRecord = z.infer<typeof recordShape>;

/**
 * Files are named after the sandbox. All calls are synchronous, so that nothing happens between a lease and its record.
 * They are not synced to disk: a machine that crashes loses its containers as well.
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

  /** ERR_SANDBOX: nothing is written, and the sandbox must not be leased. */
  write(name: string, record: LeaseRecord): void {
    try {
      writeFileSync(this.#pathOf(name), JSON.stringify(record), { mode: 0o600 });
    } catch (error) {
      this.remove(name);
      throw failed('the lease of a sandbox could not be recorded', error);
    }
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
      const files = readdirSync(this.#folder, { withFileTypes: true }).filter((entry) => entry.isFile());
      return new Map(files.map(({ name }) => [name, parse(readFileSync(this.#pathOf(name), 'utf8'))]));
    } catch (error) {
      throw failed('the lease records of an earlier run cannot be read', error);
    }
  }

  #pathOf(name: string): string {
    return join(this.#folder, name);
  }
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
