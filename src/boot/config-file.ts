/** Reads the configuration file again while the server runs: nothing that stands in its place may hold the main thread, or pass for the file. Main thread. */
import { constants, lstatSync } from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ConfigError, type Config } from '../shared/config.js';
import { parseAside } from './parse-aside.js';

/** Ten thousand users and a thousand rules are two megabytes. */
const MAX_BYTES = 16 * 1_048_576;

export class ConfigFile {
  readonly #file: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #cwd: string;
  readonly #existed: boolean;
  readonly #wasLink: boolean;

  /** `first`: what the start has read. The environment is that of the start, since no other one reaches a running process. */
  constructor(first: Pick<Config, 'source'>, env: NodeJS.ProcessEnv, cwd = process.cwd()) {
    this.#env = { ...env };
    this.#cwd = cwd;
    this.#file = first.source?.file ?? resolve(cwd, 'fairlead.json');
    this.#existed = first.source !== undefined;
    this.#wasLink = lstatSync(this.#file, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  }

  /** Throws ConfigError with every problem. */
  async read(): Promise<Config> {
    const bytes = await this.#bytes();
    const place = { file: this.#file, env: this.#env, cwd: this.#cwd };
    return parseAside(bytes ? { bytes, ...place } : place);
  }

  /** Undefined: there was no file at the start, and there is none. */
  async #bytes(): Promise<Buffer | undefined> {
    let handle: FileHandle | undefined;
    try {
      if (!this.#wasLink && (await lstat(this.#file)).isSymbolicLink()) {
        throw this.#problem('is a symbolic link now, and was none at the start: put the file in its place, or restart');
      }
      // A pipe in its place would else hold a thread of the pool for ever.
      handle = await open(this.#file, constants.O_RDONLY | constants.O_NONBLOCK);
      const before = await handle.stat();
      if (!before.isFile()) throw this.#problem('is not a file');
      if (before.size > MAX_BYTES) throw this.#problem(`has ${before.size} bytes, more than ${MAX_BYTES}`);
      const bytes = await handle.readFile();
      const after = await handle.stat();
      if (after.mtimeMs !== before.mtimeMs || after.size !== bytes.length) {
        throw this.#problem('was written while it was read: reload when that has ended');
      }
      return bytes;
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' && !this.#existed) return undefined;
      throw this.#problem(`cannot be read (${code ?? (error as Error).message})`);
    } finally {
      await handle?.close();
    }
  }

  #problem(message: string): ConfigError {
    return new ConfigError([{ path: this.#file, message }]);
  }
}
