/** How backup and restore tell sizes, and what the system refuses. Command line's process. */
import { statfs } from 'node:fs/promises';
import { FairleadError } from '../../shared/errors.js';

const MIB = 1024 * 1024;

/** Rounded up: what is said to be needed is enough. */
export function mib(bytes: number): string {
  return `${Math.ceil(bytes / MIB)} MiB`;
}

export interface Room {
  bytes: number;
  /** Infinity: the file system makes them as they are needed. */
  inodes: number;
}

export async function roomIn(folder: string): Promise<Room> {
  const { bavail, bsize, files, ffree } = await statfs(folder);
  return { bytes: bavail * bsize, inodes: files === 0 ? Infinity : ffree };
}

export function isFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // LMDB has the number of the system's error.
  const { code, errno } = error as NodeJS.ErrnoException & { code?: unknown };
  return (
    code === 'ENOSPC' ||
    code === 'EDQUOT' ||
    (code as unknown) === 28 ||
    errno === -28 ||
    /No space left/.test(error.message)
  );
}

/** What the system refuses is told in its words, without a stack; everything else is thrown on. */
export function told(error: unknown, what: string): unknown {
  if (error instanceof FairleadError || !(error instanceof Error)) return error;
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string' || syscall === undefined) return error;
  const where = path === undefined || path === '' ? '' : ` ${path}`;
  const hint = code === 'EACCES' || code === 'EPERM' ? ': put sudo in front' : '';
  return new FairleadError('ERR_START', `${what}: ${code} (${syscall}${where})${hint}`, { cause: error });
}
