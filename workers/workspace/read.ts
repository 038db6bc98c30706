/** read_file: reads lines of a text file in chunks, so that memory does not depend on its size. Runs in the sandbox. */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { ToolFault, type TextResult } from './fault.js';
import type { Workspace } from './paths.js';
import { characterEnd, decodeText, SNIFF_BYTES } from './text.js';
import { DEFAULT_READ_LINES } from './tool-list.js';
import type { CallContext } from './tools.js';

export const MAX_READ_BYTES = 262_144;
/** Larger files are read only in parts, by offset and limit. */
export const HUGE_FILE_BYTES = 8_388_608;
const CHUNK_BYTES = 65_536;
const NEWLINE = 10;

export interface ReadRequest {
  path: string;
  /** First line, from 1. */
  offset?: number | undefined;
  limit?: number | undefined;
}

interface Slice {
  bytes: Buffer;
  /** Whole lines in `bytes`. With `cutInLine` one partial line follows. */
  lines: number;
  cutInLine: boolean;
  /** Lines in the file; undefined unless it was read to its end. */
  total: number | undefined;
}

export async function readFileLines(
  workspace: Workspace,
  request: ReadRequest,
  { signal, maxBytes }: Pick<CallContext, 'signal' | 'maxBytes'>,
): Promise<TextResult> {
  const place = await workspace.locateExisting(request.path);
  await using handle = await workspace.open(place, constants.O_RDONLY);
  const { size } = await handle.stat();
  if (size > HUGE_FILE_BYTES && request.offset === undefined && request.limit === undefined) {
    throw new ToolFault(
      'TOO_LARGE',
      `${place.shown} has ${size} bytes. Read it in parts with offset and limit, or find the place with search_files.`,
    );
  }
  const offset = request.offset ?? 1;
  const limit = request.limit ?? DEFAULT_READ_LINES;
  const toEnd = size <= HUGE_FILE_BYTES;
  const slice = await readSlice(handle, { shown: place.shown, offset, limit, toEnd, maxBytes, signal });
  const text = decodeText(slice.bytes, place.shown);
  if (text === '' && slice.total !== undefined && offset > Math.max(slice.total, 1)) {
    throw new ToolFault('PAST_END', `${place.shown} has ${slice.total} lines; offset ${offset} is past its end.`);
  }
  if (text === '') return { text: '', note: `[${place.shown} is empty]` };
  const note = describeCut(slice, { offset, size, shown: place.shown });
  return note === undefined ? { text } : { text, note };
}

function describeCut(
  slice: Slice,
  { offset, size, shown }: { offset: number; size: number; shown: string },
): string | undefined {
  const of = slice.total === undefined ? `a file of ${size} bytes` : String(slice.total);
  if (slice.cutInLine && slice.lines === 0) {
    return (
      `[line ${offset} of ${of} is too long: only its first ${slice.bytes.length} bytes are shown; continue with offset ${offset + 1}, ` +
      `or see more of the line with run_command, e.g. sed -n ${offset}p ${shown} | tail -c +${slice.bytes.length + 1} | head -c 50000]`
    );
  }
  const last = offset + slice.lines - 1;
  const complete = slice.total !== undefined && last >= slice.total;
  if (complete) return offset === 1 ? undefined : `[lines ${offset}–${last} of ${of}: the end of the file]`;
  return `[lines ${offset}–${last} of ${of} are shown; continue with offset ${last + 1}]`;
}

interface SliceRequest {
  shown: string;
  offset: number;
  limit: number;
  /** Also counts the lines up to the end of the file. */
  toEnd: boolean;
  maxBytes: number;
  signal: AbortSignal;
}

async function readSlice(handle: FileHandle, request: SliceRequest): Promise<Slice> {
  const { offset, limit, signal } = request;
  const maxBytes = Math.min(MAX_READ_BYTES, request.maxBytes);
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  // One byte more than is shown: it decides whether the last character is cut.
  const kept = Buffer.allocUnsafe(maxBytes + 1);
  let keptBytes = 0;
  let wholeBytes = 0;
  let wholeLines = 0;
  let line = 1;
  let position = 0;
  let endedInNewline = true;
  let full = false;
  let reachedEnd = false;
  const past = (): boolean => full || line >= offset + limit;

  while (request.toEnd || !past()) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) {
      reachedEnd = true;
      break;
    }
    // The decoder sees only the lines that are shown, which may be text in a binary file.
    if (position === 0) rejectBinary(chunk.subarray(0, Math.min(bytesRead, SNIFF_BYTES)), request.shown);
    position += bytesRead;
    endedInNewline = chunk[bytesRead - 1] === NEWLINE;
    for (let at = 0; at < bytesRead;) {
      const newline = chunk.subarray(0, bytesRead).indexOf(NEWLINE, at);
      const end = newline === -1 ? bytesRead : newline + 1;
      if (line >= offset && !past()) {
        keptBytes += chunk.copy(kept, keptBytes, at, Math.min(end, at + kept.length - keptBytes));
        if (keptBytes > maxBytes) full = true;
        else if (newline !== -1) {
          wholeBytes = keptBytes;
          wholeLines++;
        }
      }
      if (newline !== -1) line++;
      at = end;
    }
  }

  const total = reachedEnd ? (endedInNewline ? line - 1 : line) : undefined;
  if (full && wholeLines === 0) {
    return { bytes: kept.subarray(0, characterEnd(kept, maxBytes)), lines: 0, cutInLine: true, total };
  }
  // A last line without a newline is whole, since the file ends there.
  const lastLineIsBare = !full && keptBytes > wholeBytes;
  return {
    bytes: kept.subarray(0, full ? wholeBytes : keptBytes),
    lines: wholeLines + (lastLineIsBare ? 1 : 0),
    cutInLine: full,
    total,
  };
}

/** Checks for NUL bytes only; `decodeText` checks the encoding of what is shown. */
function rejectBinary(head: Buffer, shown: string): void {
  if (head.includes(0)) decodeText(head, shown);
}
