/**
 * The token of the machine's owner, in the file `token` of the data folder. The server makes it at its first start; the command
 * line reads it. Main thread and command line's process.
 */
import { createHash, randomBytes } from 'node:crypto';
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
import { join } from 'node:path';
import { FairleadError } from './errors.js';

/** The user of the file's token, and of everybody with `auth.mode` `none`. */
export const LOCAL_USER = 'local';

const TOKEN = /^flt_[A-Za-z0-9_-]{43}$/;
/** Longer than a token with its line break, so that a longer file is recognised. */
const MAX_BYTES = 128;

export function newToken(): string {
  // The prefix lets secret scanners and people recognise a token.
  return `flt_${randomBytes(32).toString('base64url')}`;
}

export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

export function tokenFile(dataDir: string): string {
  return join(dataDir, 'token');
}

export interface TokenFileReader {
  /** The only account that may own the file; undefined = any, for a reader to whom the token is no proof of anything. */
  owner: number | undefined;
}

/**
 * Undefined when there is no file. ERR_START when others can read or own it, since they may know the token, and when it holds
 * something else: a token is never replaced without its owner's doing.
 */
export function readTokenFile(dataDir: string, { owner }: TokenFileReader): string | undefined {
  const file = tokenFile(dataDir);
  let fd: number;
  try {
    // Neither a link to another file nor a pipe without a writer, which would hold the start up.
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw unusable(file, code === 'ELOOP' ? 'is a link' : `cannot be read (${code})`, error);
  }
  try {
    const { mode, uid } = fstatSync(fd);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw unusable(file, 'is no file');
    if ((mode & 0o077) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(4, '0');
      throw unusable(file, `has mode ${shown}, so other accounts may know the token`);
    }
    if (owner !== undefined && uid !== owner) {
      throw unusable(file, `belongs to the account ${uid}, which may know the token`);
    }
    const bytes = Buffer.alloc(MAX_BYTES);
    const text = bytes.toString('latin1', 0, readSync(fd, bytes)).trim();
    if (!TOKEN.test(text)) throw unusable(file, 'is damaged: it must hold one token (flt_…)');
    return text;
  } finally {
    closeSync(fd);
  }
}

/** Makes the file whole or not at all. The caller holds the data folder, so nobody else makes it meanwhile. */
export function makeTokenFile(dataDir: string): string {
  const token = newToken();
  const file = tokenFile(dataDir);
  const unfinished = `${file}.new`;
  rmSync(unfinished, { force: true }); // of a start that was killed
  const fd = openSync(unfinished, 'wx', 0o600);
  try {
    fchmodSync(fd, 0o600); // whatever the umask is
    writeSync(fd, `${token}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(unfinished, file);
  return token;
}

function unusable(file: string, why: string, cause?: unknown): FairleadError {
  return new FairleadError('ERR_START', `${file} ${why}: remove it, and the next start makes a new token`, { cause });
}
