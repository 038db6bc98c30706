/** list_files: lists names, sizes and link targets in a folder. Runs in the sandbox. */
import { lstat, readlink } from 'node:fs/promises';
import { errnoOf, type TextResult } from './fault.js';
import type { Workspace } from './paths.js';
import { describeScan, walk, type WalkEntry, type WalkSummary } from './walk.js';

export interface ListRequest {
  path: string;
  recursive: boolean;
  limit: number;
}

export async function listFiles(workspace: Workspace, request: ListRequest, signal: AbortSignal): Promise<TextResult> {
  const place = await workspace.locateFolder(request.path);
  const summary: WalkSummary = { scanned: 0, cut: false, unreadable: 0 };
  const lines: string[] = [];
  for await (const entry of walk(place, { recursive: request.recursive, signal }, summary)) {
    if (lines.length < request.limit) lines.push(await describe(entry));
  }
  const notes = describeScan(summary);
  if (summary.scanned > lines.length) {
    const more = request.recursive
      ? 'list a folder further down or use search_files'
      : 'raise limit or use search_files';
    notes.unshift(`${lines.length} of ${summary.cut ? 'more than ' : ''}${summary.scanned} entries are shown: ${more}`);
  }
  if (lines.length === 0) notes.unshift(`${place.shown === '.' ? 'the workspace' : place.shown} is empty`);
  const note = notes.length === 0 ? {} : { note: `[${notes.join('; ')}]` };
  return { text: lines.join('\n'), ...note };
}

async function describe(entry: WalkEntry): Promise<string> {
  if (entry.kind === 'folder') return `${entry.name}/`;
  try {
    if (entry.kind === 'link') return `${entry.name} -> ${await readlink(entry.real)}`;
    if (entry.kind === 'other') return `${entry.name} (device, pipe or socket)`;
    return `${entry.name} (${(await lstat(entry.real)).size} bytes)`;
  } catch (error) {
    // Deleted since it was listed.
    if (errnoOf(error) === 'ENOENT') return `${entry.name} (gone)`;
    throw error;
  }
}
