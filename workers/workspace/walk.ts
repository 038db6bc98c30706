/** Walks a folder breadth first, bounded, without following links. Runs in the sandbox. */
import type { Dirent } from 'node:fs';
import { entriesOf, stat, type FolderEntry } from './byte-fs.js';
import { errnoOf, faultFromErrno } from './fault.js';
import { joinBytes, toBytes, type BytePath } from './names.js';
import type { WorkspacePath } from './paths.js';

/** Most entries visited in one call. */
export const MAX_SCANNED = 20_000;

export interface WalkEntry {
  real: BytePath;
  /** Relative to the start folder. */
  name: BytePath;
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

type Folder = Pick<WalkEntry, 'real' | 'name'>;

const NO_NAME = toBytes('');

/** Yields entries sorted by name within their folder, or `start` if it is a file. Fills `summary` meanwhile. */
export async function* walk(
  start: WorkspacePath,
  options: WalkOptions,
  summary: WalkSummary,
): AsyncGenerator<WalkEntry> {
  if (!(await stat(start.real)).isDirectory()) {
    summary.scanned++;
    yield { real: start.real, name: NO_NAME, kind: 'file' };
    return;
  }
  const folders: Folder[] = [{ real: start.real, name: NO_NAME }];
  for (let folder = folders.shift(); folder !== undefined; folder = folders.shift()) {
    options.signal.throwIfAborted();
    for (const { name, dirent } of await readFolder(folder, start, summary)) {
      const entry = {
        real: joinBytes(folder.real, name),
        name: folder.name === NO_NAME ? name : joinBytes(folder.name, name),
        kind: kindOf(dirent),
      };
      if (entry.kind === 'folder' && options.recursive) folders.push(entry);
      yield entry;
    }
    if (summary.cut) return;
  }
}

async function readFolder(folder: Folder, start: WorkspacePath, summary: WalkSummary): Promise<FolderEntry[]> {
  const found: FolderEntry[] = [];
  try {
    for await (const entry of entriesOf(folder.real)) {
      if (summary.scanned >= MAX_SCANNED) {
        summary.cut = true;
        break;
      }
      summary.scanned++;
      found.push(entry);
    }
  } catch (error) {
    // The requested folder must be readable; one below it may be private or gone.
    if (folder.name === NO_NAME) throw faultFromErrno(error, start.shown);
    if (errnoOf(error) === undefined) throw error;
    summary.unreadable++;
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function kindOf(dirent: Pick<Dirent, 'isFile' | 'isDirectory' | 'isSymbolicLink'>): WalkEntry['kind'] {
  if (dirent.isFile()) return 'file';
  if (dirent.isDirectory()) return 'folder';
  return dirent.isSymbolicLink() ? 'link' : 'other';
}

export function describeScan(summary: WalkSummary): string[] {
  const notes: string[] = [];
  if (summary.cut)
    notes.push(
      `stopped after ${MAX_SCANNED} entries, there are more: give a folder further down, or count them with run_command, e.g. find`,
    );
  if (summary.unreadable > 0) notes.push(`${summary.unreadable} folders could not be read`);
  return notes;
}
