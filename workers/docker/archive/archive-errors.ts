/** Errors of a save or restore, in words for the user and the model. Docker thread. */
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';

export const RETRY_AFTER_MS = 5_000;

export function exitError(code: number | null, stderr: string, what: string): FairleadError {
  if (code === null) {
    return new FairleadError('ERR_UNAVAILABLE', `${what}: the connection to the sandbox was lost`, {
      retryAfterMs: RETRY_AFTER_MS,
    });
  }
  if (code === 126 || code === 127) {
    // Docker tells a program that is not there and one that there is no room for by the same code.
    const why = stderr || `exit code ${code}: the image needs sh and tar, and the sandbox room for another process`;
    return new FairleadError('ERR_SANDBOX', `${what}: no program starts in it (${why})`);
  }
  return new FairleadError('ERR_SANDBOX', `${what}: ${stderr || `tar exited with code ${code}`}`);
}

export function streamError(error: unknown, server: string): FairleadError {
  if (isFairleadError(error)) return error;
  return new FairleadError('ERR_UNAVAILABLE', `the transfer of the files of ${server} failed: ${messageOf(error)}`, {
    cause: error,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

export function throwDisk(error: unknown): never {
  if (isFairleadError(error)) throw error;
  const { code } = error as NodeJS.ErrnoException;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  const why = full ? 'the disk of the data folder is full' : `the archive cannot be written: ${messageOf(error)}`;
  throw new FairleadError('ERR_SANDBOX', `the workspace is not saved: ${why}`, { cause: error });
}

export function lostFilesError(server: string, what: string, cause: unknown): FairleadError {
  return new FairleadError(
    'ERR_SANDBOX',
    `the saved files of ${server} cannot be brought back: ${what}; the next call starts with an empty workspace`,
    { cause },
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
