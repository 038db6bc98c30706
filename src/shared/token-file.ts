/**
 * The token of the machine's owner, in the file `token` of the data folder. The server makes it at its first start; the command
 * line reads it. Main thread and command line's process.
 */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { makePrivateFile, readPrivateFile, type PrivateFile, type PrivateFileReader } from './private-file.js';

/** The user of the file's token, and of everybody with `auth.mode` `none`. */
export const LOCAL_USER = 'local';

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

/** Undefined when there is no file. ERR_START when others may know the token, or the file holds something else. */
export function readTokenFile(dataDir: string, reader: PrivateFileReader): string | undefined {
  return readPrivateFile(kept(dataDir), reader);
}

/** The caller holds the data folder. */
export function makeTokenFile(dataDir: string): string {
  const token = newToken();
  makePrivateFile(kept(dataDir), token);
  return token;
}

function kept(dataDir: string): PrivateFile {
  return {
    file: tokenFile(dataDir),
    pattern: /^flt_[A-Za-z0-9_-]{43}$/,
    holds: 'one token (flt_…)',
    remedy: 'the next start makes a new token',
  };
}
