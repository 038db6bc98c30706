/** search_files: finds files by glob and lines by pattern, with bounds on time, bytes and results. Runs in the sandbox. */
import { constants } from 'node:fs';
import { ToolFault, type TextResult } from './fault.js';
import { LineMatcher } from './line-matcher.js';
import type { WorkspacePath, Workspace } from './paths.js';
import { HUGE_FILE_BYTES } from './read.js';
import { SNIFF_BYTES } from './text.js';
import { describeScan, walk, type WalkEntry, type WalkSummary } from './walk.js';

const MAX_SEARCHED_BYTES = 268_435_456;
const SEARCH_DEADLINE_MS = 20_000;
const MAX_SHOWN_LINE = 300;

export interface SearchRequest {
  path: string;
  glob?: string | undefined;
  pattern?: string | undefined;
  ignoreCase: boolean;
  limit: number;
}

interface Skipped {
  binary: number;
  large: number;
  unreadable: number;
}

export async function searchFiles(
  workspace: Workspace,
  request: SearchRequest,
  signal: AbortSignal,
): Promise<TextResult> {
  if (request.glob === undefined && request.pattern === undefined) {
    throw new ToolFault('BAD_PATTERN', 'Give a glob for names, a pattern for content, or both.');
  }
  const place = await workspace.locateExisting(request.path);
  const matchesName = await nameMatcher(request.glob);
  const matcher = request.pattern === undefined ? undefined : new LineMatcher(request.pattern, request.ignoreCase);
  const summary: WalkSummary = { scanned: 0, cut: false, unreadable: 0 };
  const skipped: Skipped = { binary: 0, large: 0, unreadable: 0 };
  const deadline = Date.now() + SEARCH_DEADLINE_MS;
  const lines: string[] = [];
  const notes: string[] = [];
  let searchedBytes = 0;

  for await (const entry of walk(place, { recursive: true, signal }, summary)) {
    if (lines.length > request.limit) break;
    if (Date.now() > deadline || searchedBytes > MAX_SEARCHED_BYTES) {
      notes.push('stopped, there is too much to search: give a path or a glob');
      break;
    }
    const shown = [place.shown, entry.name].filter((part) => part !== '.' && part !== '').join('/');
    if (!matchesName(entry.name || shown)) continue;
    if (matcher === undefined) {
      lines.push(entry.kind === 'folder' ? `${shown}/` : shown);
    } else if (entry.kind === 'file') {
      const content = await readForSearch(workspace, entry, shown, skipped);
      searchedBytes += content?.length ?? 0;
      for (const { line, text } of matcher.match(content ?? '', request.limit + 1 - lines.length)) {
        lines.push(`${shown}:${line}: ${text.length > MAX_SHOWN_LINE ? `${text.slice(0, MAX_SHOWN_LINE)}…` : text}`);
      }
    }
  }

  // The search goes on to limit + 1 results, to know whether there are more.
  if (lines.length > request.limit) {
    lines.length = request.limit;
    notes.push(`stopped at ${request.limit} results: narrow the search or raise limit`);
  }
  notes.push(...describeScan(summary), ...describeSkipped(skipped));
  if (lines.length === 0) notes.unshift('nothing found');
  return { text: lines.join('\n'), ...(notes.length === 0 ? {} : { note: `[${notes.join('; ')}]` }) };
}

/** A glob without a slash matches the last component, as in .gitignore. */
async function nameMatcher(glob: string | undefined): Promise<(name: string) => boolean> {
  if (glob === undefined) return () => true;
  const { default: picomatch } = await import('picomatch');
  const matches = picomatch(glob, { dot: true, noextglob: true });
  if (glob.includes('/')) return (name) => matches(name);
  return (name) => matches(name.slice(name.lastIndexOf('/') + 1));
}

async function readForSearch(
  workspace: Workspace,
  entry: WalkEntry,
  shown: string,
  skipped: Skipped,
): Promise<string | undefined> {
  const place: WorkspacePath = { real: entry.real, shown, exists: true };
  try {
    await using handle = await workspace.open(place, constants.O_RDONLY);
    if ((await handle.stat()).size > HUGE_FILE_BYTES) {
      skipped.large++;
      return undefined;
    }
    const bytes = await handle.readFile();
    if (!bytes.subarray(0, SNIFF_BYTES).includes(0)) return bytes.toString('utf8');
    skipped.binary++;
  } catch (error) {
    // A file that is unreadable or gone does not end the search.
    if (!(error instanceof ToolFault)) throw error;
    skipped.unreadable++;
  }
  return undefined;
}

function describeSkipped(skipped: Skipped): string[] {
  const notes: string[] = [];
  if (skipped.binary > 0) notes.push(`${skipped.binary} binary files were not searched`);
  if (skipped.large > 0) notes.push(`${skipped.large} files over ${HUGE_FILE_BYTES} bytes were not searched: use grep`);
  if (skipped.unreadable > 0) notes.push(`${skipped.unreadable} files could not be read`);
  return notes;
}
