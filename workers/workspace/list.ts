/** list_files: lists names, sizes and link targets in a folder. Runs in the sandbox. */
import { lstat, readlink } from './byte-fs.js';
import { errnoOf, type TextResult } from './fault.js';
import type { CallContext } from './tools.js';
import { shownPath } from './names.js';
import type { Workspace } from './paths.js';
import { ResultLines } from './result-lines.js';
import { describeScan, walk, type WalkEntry, type WalkSummary } from './walk.js';

export interface ListRequest {
  path: string;
  recursive: boolean;
  /** First entry, from 1. */
  offset: number;
  limit: number;
}

export async function listFiles(
  workspace: Workspace,
  request: ListRequest,
  { signal, maxBytes }: Pick<CallContext, 'signal' | 'maxBytes'>,
): Promise<TextResult> {
  const place = await workspace.locateFolder(request.path);
  const summary: WalkSummary = { scanned: 0, cut: false, unreadable: 0 };
  const lines = new ResultLines(request, maxBytes);
  for await (const entry of walk(place, { recursive: request.recursive, signal }, summary)) {
    await lines.add(() => describe(entry));
  }
  const notes = describeScan(summary);
  const { first, shown } = lines;
  if (summary.scanned > shown) {
    const last = first + shown - 1;
    const of = `${summary.cut ? 'more than ' : ''}${summary.scanned} entries`;
    const isEnd = last >= summary.scanned;
    if (shown > 0) {
      notes.unshift(
        isEnd
          ? `${first}–${last} of ${of}: the end`
          : `${first}–${last} of ${of} are shown: continue with offset ${last + 1}, list a folder further down, or use search_files`,
      );
    } else if (summary.scanned > 0) notes.unshift(`there are ${of}: offset ${first} is past the last`);
  }
  if (summary.scanned === 0) notes.unshift(`${place.shown === '.' ? 'the workspace' : place.shown} is empty`);
  const note = notes.length === 0 ? {} : { note: `[${notes.join('; ')}]` };
  return { text: lines.text, ...note };
}

async function describe(entry: WalkEntry): Promise<string> {
  const shown = shownPath(entry.name);
  if (entry.kind === 'folder') return `${shown}/`;
  try {
    if (entry.kind === 'link') return `${shown} -> ${shownPath(await readlink(entry.real))}`;
    if (entry.kind === 'other') return `${shown} (device, pipe or socket)`;
    return `${shown} (${(await lstat(entry.real)).size} bytes)`;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    // Deleted since it was listed; or one entry that cannot be looked at, which must not cost the others.
    return `${shown} (${errno === 'ENOENT' ? 'gone' : `cannot be read: ${errno}`})`;
  }
}
