/** Resolves the model's paths to files below the workspace's root, and refuses all others. Runs in the sandbox. */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, relative, resolve, sep } from 'node:path';
import { access, chmod, entriesOf, lstat, open, readlink, realpath, stat } from './byte-fs.js';
import { errnoOf, faultFromErrno, ToolFault } from './fault.js';
import { joinBytes, looksLike, meantPaths, shownPath, toBytes, type BytePath } from './names.js';

/** The model's name for the root, which is a private folder when the server is a child process. */
const ROOT_ALIAS = toBytes('/workspace');
const MAX_PATH = 4096;
const { R_OK, W_OK, X_OK } = constants;
const OWNER_RWX = 0o700;
/** Entries of a folder that are compared with a name that is not there. */
const MAX_COMPARED = 20_000;

export interface WorkspacePath {
  /** Absolute, links resolved. With `exists: false` its last components are missing. */
  real: BytePath;
  /** Relative to the root, `.` for the root: its name in results and errors, on one line, which leads back here. */
  shown: string;
  exists: boolean;
}

interface Located extends WorkspacePath {
  /** How many of its last components do not exist. */
  missing: number;
}

export class Workspace {
  /** Absolute, links resolved. */
  readonly root: BytePath;

  private constructor(root: BytePath) {
    this.root = root;
  }

  /** Rejects with NOT_FOUND or NOT_A_FOLDER. */
  static async open(root: string): Promise<Workspace> {
    try {
      const real = await realpath(toBytes(root));
      if (!(await stat(real)).isDirectory()) throw new ToolFault('NOT_A_FOLDER', `${root} is not a folder.`);
      return new Workspace(real);
    } catch (error) {
      throw faultFromErrno(error, root);
    }
  }

  /**
   * Before each tool: a program that closes the root to its owner (`chmod 000 .`) leaves no way to open it again, since
   * commands start in it, and a restored workspace has the mode that it was saved with.
   */
  async keepOpen(): Promise<void> {
    try {
      await access(this.root, R_OK | W_OK | X_OK);
    } catch {
      const { mode } = await stat(this.root);
      await chmod(this.root, mode | OWNER_RWX).catch(() => undefined); // of another owner: the tool's own error tells it
    }
  }

  /**
   * Resolves a path and its links. Throws OUTSIDE_WORKSPACE if it leads out of the root, and BROKEN_LINK for a link without
   * a target, since creating a file there would follow the link to wherever it points.
   */
  async locate(path: string): Promise<WorkspacePath> {
    if (path.length > MAX_PATH) throw new ToolFault('BAD_PATH', `A path cannot be longer than ${MAX_PATH} characters.`);
    const paths = meantPaths(path);
    const literal = paths.pop()!;
    let best: Located | undefined;
    for (const meant of paths) {
      const place = await this.#tryToLocate(meant);
      if (place?.exists) return place;
      if (place && place.missing < (best?.missing ?? Infinity)) best = place;
    }
    const place = await this.#locate(literal);
    // A quoted folder whose new file is to be written is not a folder with quotes in its name.
    return best && best.missing < place.missing ? best : place;
  }

  /** Undefined when the path cannot be what was meant. */
  async #tryToLocate(path: BytePath): Promise<Located | undefined> {
    try {
      return await this.#locate(path);
    } catch (error) {
      if (error instanceof ToolFault && error.code !== 'BROKEN_LINK') return undefined;
      throw error;
    }
  }

  async #locate(path: BytePath): Promise<Located> {
    const wanted = this.#absolute(path);
    const shown = this.shown(wanted);
    const missing: BytePath[] = [];
    let at = wanted;
    for (;;) {
      try {
        const real = await realpath(at);
        if (!this.contains(real)) throw outside(shownPath(path));
        return { real: joinBytes(real, ...missing), shown, exists: missing.length === 0, missing: missing.length };
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw faultFromErrno(error, shown);
      }
      if (await isThere(at)) {
        throw new ToolFault(
          'BROKEN_LINK',
          `${shown}: ${this.shown(at)} is a symbolic link whose target does not exist.`,
        );
      }
      missing.unshift(basename(at) as BytePath);
      at = dirname(at) as BytePath;
    }
  }

  async locateExisting(path: string): Promise<WorkspacePath> {
    const place = await this.locate(path);
    const found = place.exists ? place : await this.#similar(place);
    if (!found)
      throw new ToolFault('NOT_FOUND', `${place.shown} does not exist. Use list_files to see which files exist.`);
    return found;
  }

  /**
   * The one existing path that looks like a missing one. Models copy names by their looks: they compose letters, write usual spaces,
   * and see U+FFFD where `ls` printed a broken byte.
   */
  async #similar({ real }: WorkspacePath): Promise<WorkspacePath | undefined> {
    const names: BytePath[] = [];
    let at = real;
    while (at !== this.root && !(await isThere(at))) {
      names.unshift(basename(at) as BytePath);
      at = dirname(at) as BytePath;
    }
    for (const name of names) {
      const found: BytePath[] = [];
      let scanned = 0;
      try {
        for await (const entry of entriesOf(at)) {
          if (++scanned > MAX_COMPARED || found.length > 1) return undefined;
          if (looksLike(entry.name, name)) found.push(entry.name);
        }
      } catch (error) {
        if (errnoOf(error) === undefined) throw error;
        return undefined; // no folder, or one that cannot be read
      }
      if (found.length !== 1) return undefined;
      at = joinBytes(at, found[0]!);
    }
    const place = await this.#tryToLocate(at);
    return place?.exists === true ? place : undefined;
  }

  /** An existing folder. */
  async locateFolder(path: string): Promise<WorkspacePath> {
    const place = await this.locateExisting(path);
    if (!(await stat(place.real)).isDirectory()) {
      throw new ToolFault('NOT_A_FOLDER', `${place.shown} is a file, not a folder.`);
    }
    return place;
  }

  /**
   * Opens without following a link in the last component and without blocking on a FIFO, then checks where the handle
   * really is: a command that swaps a folder for a link between `locate` and `open` gains nothing.
   */
  async open(place: WorkspacePath, flags: number, mode?: number): Promise<FileHandle> {
    let handle: FileHandle;
    try {
      handle = await open(place.real, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, mode);
    } catch (error) {
      throw faultFromErrno(error, place.shown);
    }
    try {
      if (process.platform === 'linux' && !this.contains(await readlink(toBytes(`/proc/self/fd/${handle.fd}`)))) {
        throw outside(place.shown);
      }
      const stats = await handle.stat();
      if (stats.isDirectory()) throw faultFromErrno(Object.assign(new Error(), { code: 'EISDIR' }), place.shown);
      if (!stats.isFile()) throw new ToolFault('NOT_A_FILE', `${place.shown} is a device, pipe or socket, not a file.`);
      return handle;
    } catch (error) {
      await handle.close();
      throw faultFromErrno(error, place.shown);
    }
  }

  contains(real: BytePath): boolean {
    return isBelow(this.root, real);
  }

  shown(absolute: BytePath): string {
    return shownPath((relative(this.root, absolute) || '.') as BytePath);
  }

  #absolute(path: BytePath): BytePath {
    if (path.includes('\0')) throw new ToolFault('BAD_PATH', 'A path cannot contain a NUL character.');
    const asWritten = resolve(this.root, path) as BytePath;
    if (isBelow(this.root, asWritten)) return asWritten;
    if (isBelow(ROOT_ALIAS, asWritten)) return joinBytes(this.root, relative(ROOT_ALIAS, asWritten) as BytePath);
    throw outside(shownPath(path));
  }
}

function isBelow(root: BytePath, path: BytePath): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

async function isThere(path: BytePath): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function outside(shown: string): ToolFault {
  return new ToolFault(
    'OUTSIDE_WORKSPACE',
    `${shown} is outside of the workspace. Use a path below ${ROOT_ALIAS}, absolute or relative to it.`,
  );
}
