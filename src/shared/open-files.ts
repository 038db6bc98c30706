/** How many files a process may open: each client is one, each sandbox a few. Main thread and command line. */
import { readFileSync } from 'node:fs';

/** Enough for some ten thousand people. */
export const WANTED_FILES = 65_536;

/**
 * The hard limit of a process in Linux's words; undefined where there is no such file. Node raises its soft limit to the hard one by
 * itself, so only the hard one counts.
 */
export function openFilesLimit(pid: number | 'self' = 'self'): number | undefined {
  let limits: string;
  try {
    limits = readFileSync(`/proc/${pid}/limits`, 'latin1');
  } catch (error) {
    if (['ENOENT', 'EACCES', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  return parseOpenFiles(limits);
}

export function parseOpenFiles(limits: string): number | undefined {
  const hard = /^Max open files +\S+ +(\S+)/m.exec(limits)?.[1];
  if (hard === 'unlimited') return Number.POSITIVE_INFINITY;
  return hard === undefined ? undefined : Number(hard);
}

/** A warning where the process may open fewer files than it is made for; undefined where it may. */
export function openFilesWarning(limit: number | undefined, maxConnections: number): string | undefined {
  const wanted = Math.min(WANTED_FILES, maxConnections);
  if (limit === undefined || limit >= wanted) return undefined;
  return (
    `this process may open ${limit} files, and ${wanted} are wanted: each client is one, each sandbox a few. ` +
    'Raise LimitNOFILE in the systemd unit; a host or container that has less gives the unit what it has'
  );
}
