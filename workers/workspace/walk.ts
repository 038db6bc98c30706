/** Walks a folder breadth first, bounded, without following links. Runs in the sandbox. */
import type { Dirent } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, faultFromErrno } from './fault.js';
import type { WorkspacePath } from './paths.js';

/** Most entries visited in one call. */
export const MAX_SCANNED = 20_000;

export interface WalkEntry {
  real: string;
  /** Relative to the start folder. */
  name: string;
  kind: 'file' | 'folder' | 'link' | 'other';
}

export interface WalkSummary {
  scanned: number;
  /** MAX_SCANNED was reached, and there is more. */
  cut: boolean;
  unreadable: number;
}

export interface WalkOptions {
  recursive: boolean;
  signal: AbortSignal;
}

/** Yields entries sorted by name within their folder, or `start` if it is a file. Fills `summary` meanwhile. */
export async function* walk(
  start: WorkspacePath,
  options: WalkOptions,
  summary: WalkSummary,
): AsyncGenerator<WalkEntry> {
  if (!(await stat(start.real)).isDirectory()) {
    summary.scanned++;
    yield { real: start.real, name: '', kind: 'file' };
    return;
  }
  const folders: { real: string; name: string }[] = [{ real: start.real, name: '' }];
  for (let folder = folders.shift(); folder !== undefined; folder = folders.shift()) {
    options.signal.throwIfAborted();
    for (const dirent of await readFolder(folder, start, summary)) {
      const entry = {
        real: join(folder.real, dirent.name),
        name: folder.name === '' ? dirent.name : `${folder.name}/${dirent.name}`,
        kind: kindOf(dirent),
      };
      if (entry.kind === 'folder' && options.recursive) folders.push(entry);
      yield entry;
    }
    if (summary.cut) return;
  }
}

async function readFolder(
  folder: { real: string; name: string },
  start: WorkspacePath,
  summary: WalkSummary,
): Promise<Dirent[]> {
  const found: Dirent[] = [];
  try {
    // opendir, not readdir: a folder of a million files must not fill the memory.
    for await (const dirent of await opendir(folder.real)) {
      if (summary.scanned >= MAX_SCANNED) {
        summary.cut = true;
        break;
      }
      summary.scanned++;
      found.push(dirent);
    }
  } catch (error) {
    // The requested folder must be readable; one below it may be private or gone.
    if (folder.name === '') throw faultFromErrno(error, start.shown);
    if (!['EACCES', 'EPERM', 'ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) throw error;
    summary.unreadable++;
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function kindOf(dirent: Dirent): WalkEntry['kind'] {
  if (dirent.isFile()) return 'file';
  if (dirent.isDirectory()) return 'folder';
  return dirent.isSymbolicLink() ? 'link' : 'other';
}

export function describeScan(summary: WalkSummary): string[] {
  const notes: string[] = [];
  if (summary.cut) notes.push(`stopped after ${MAX_SCANNED} entries, there are more; give a folder further down`);
  if (summary.unreadable > 0) notes.push(`${summary.unreadable} folders could not be read`);
  return notes;
}
