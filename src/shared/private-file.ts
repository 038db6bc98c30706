/** A short secret in a file of the data folder that only the server's account may know. Main thread and command line's process. */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { FairleadError } from './errors.js';

/** Longer than a secret with its line break, so that a longer file is recognised. */
const MAX_BYTES = 128;

export interface PrivateFile {
  file: string;
  /** What the whole text must be, without its line break. */
  pattern: RegExp;
  /** What the file must hold, in words. */
  holds: string;
  /** What happens when somebody removes the file, in words. */
  remedy: string;
}

export interface PrivateFileReader {
  /** The only account that may own the file; undefined = any, for a reader to whom the secret is no proof of anything. */
  owner: number | undefined;
}

/**
 * Undefined when there is no file. ERR_START when others can read or own it, since they may know the secret, and when it holds
 * something else: a secret is never replaced without its owner's doing.
 */
export function readPrivateFile(kept: PrivateFile, { owner }: PrivateFileReader): string | undefined {
  let fd: number;
  try {
    // Neither a link to another file nor a pipe without a writer, which would hold the start up.
    fd = openSync(kept.file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw unusable(kept, code === 'ELOOP' ? 'is a link' : `cannot be read (${code})`, error);
  }
  try {
    const { mode, uid } = fstatSync(fd);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw unusable(kept, 'is no file');
    if ((mode & 0o077) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(4, '0');
      throw unusable(kept, `has mode ${shown}, so other accounts may know what it holds`);
    }
    if (owner !== undefined && uid !== owner) {
      throw unusable(kept, `belongs to the account ${uid}, which may know what it holds`);
    }
    const bytes = Buffer.alloc(MAX_BYTES);
    const text = bytes.toString('latin1', 0, readSync(fd, bytes)).trim();
    if (!kept.pattern.test(text)) throw unusable(kept, `is damaged: it must hold ${kept.holds}`);
    return text;
  } finally {
    closeSync(fd);
  }
}

/** Makes the file whole or not at all. The caller holds the data folder, so nobody else makes it meanwhile. */
export function makePrivateFile({ file }: Pick<PrivateFile, 'file'>, text: string): void {
  const unfinished = `${file}.new`;
  rmSync(unfinished, { force: true }); // of a start that was killed
  const fd = openSync(unfinished, 'wx', 0o600);
  try {
    fchmodSync(fd, 0o600); // whatever the umask is
    writeSync(fd, `${text}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(unfinished, file);
}

function unusable({ file, remedy }: PrivateFile, why: string, cause?: unknown): FairleadError {
  return new FairleadError('ERR_START', `${file} ${why}: remove it, and ${remedy}`, { cause });
}
