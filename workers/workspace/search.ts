/** search_files: finds files by glob and lines by pattern, with bounds on time, bytes and results. Runs in the sandbox. */
import { constants } from 'node:fs';
import { ToolFault, type TextResult } from './fault.js';
import { LineMatcher, type LineMatch } from './line-matcher.js';
import type { WorkspacePath, Workspace } from './paths.js';
import { HUGE_FILE_BYTES } from './read.js';
import { SNIFF_BYTES } from './text.js';
import { looseText, shownPath } from './names.js';
import { ResultLines } from './result-lines.js';
import type { CallContext } from './tools.js';
import { candidateFiles, RIPGREP } from './ripgrep.js';
import { describeScan, walk, type WalkEntry, type WalkSummary } from './walk.js';

const MAX_SEARCHED_BYTES = 268_435_456;
const SEARCH_DEADLINE_MS = 20_000;
const MAX_SHOWN_LINE = 300;
const MAX_BEFORE_MATCH = 60;

export interface SearchRequest {
  path: string;
  glob?: string | undefined;
  pattern?: string | undefined;
  ignoreCase: boolean;
  /** First result, from 1. */
  offset: number;
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
  { signal, maxBytes }: Pick<CallContext, 'signal' | 'maxBytes'>,
  program = RIPGREP,
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
  const lines = new ResultLines(request, maxBytes);
  const notes: string[] = [];
  let searchedBytes = 0;
  const candidates =
    request.pattern === undefined
      ? undefined
      : await candidateFiles(program, {
          root: place.real,
          pattern: request.pattern,
          ignoreCase: request.ignoreCase,
          timeoutMs: SEARCH_DEADLINE_MS / 2,
          signal,
        });

  for await (const entry of walk(place, { recursive: true, signal }, summary)) {
    if (lines.isFull) break;
    if (Date.now() > deadline || searchedBytes > MAX_SEARCHED_BYTES) {
      notes.push('stopped, there is too much to search: give a path or a glob');
      break;
    }
    const shown = [place.shown, shownPath(entry.name)].filter((part) => part !== '.' && part !== '').join('/');
    if (!matchesName(looseText(entry.name) || shown)) continue;
    if (matcher === undefined) {
      await lines.add(() => (entry.kind === 'folder' ? `${shown}/` : shown));
    } else if (entry.kind === 'file' && candidates?.has(entry.real) !== false) {
      const content = await readForSearch(workspace, entry, shown, skipped);
      searchedBytes += content?.length ?? 0;
      for (const match of matcher.match(content ?? '', lines.wanted)) {
        await lines.add(() => `${shown}:${match.line}: ${aroundMatch(match)}`);
      }
    }
  }

  if (lines.isFull) {
    notes.push(
      `stopped at ${lines.shown} results: continue with offset ${lines.first + lines.shown}, narrow the search or raise limit`,
    );
  }
  notes.push(...describeScan(summary), ...describeSkipped(skipped));
  if (lines.shown === 0)
    notes.unshift(lines.first > 1 ? `nothing found from offset ${lines.first} on` : 'nothing found');
  return { text: lines.text, ...(notes.length === 0 ? {} : { note: `[${notes.join('; ')}]` }) };
}

/** Of a long line the part with the match, with what its ends lack. */
function aroundMatch({ text, at }: LineMatch): string {
  if (text.length <= MAX_SHOWN_LINE) return text;
  const start = Math.max(0, Math.min(at - MAX_BEFORE_MATCH, text.length - MAX_SHOWN_LINE));
  const part = text.slice(start, start + MAX_SHOWN_LINE).toWellFormed();
  const end = start + part.length;
  const note = `[characters ${start + 1}–${end} of ${text.length} of this line]`;
  return `${start > 0 ? '…' : ''}${part}${end < text.length ? '…' : ''} ${note}`;
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
