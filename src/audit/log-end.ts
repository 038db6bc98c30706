/** Finds where the audit log goes on: its newest entry, and what has gone wrong since that was written. Main thread. */
import { join } from 'node:path';
import { EMPTY, endAfter, parseLine, type ChainEnd } from './chain.js';
import { listLogs, readHead, type LogName } from './files.js';
import { readLines } from './lines.js';
import type { LogPlace } from './log-file.js';

export interface LogEnd {
  end: ChainEnd;
  /** The file to go on with. Absent: a new one must begin, since what is found is never changed. */
  log?: LogName;
  /** Bytes of lines that were being written when a server was killed. */
  tornBytes: number;
  /** Entries that were on the disk and are there no more. */
  lost?: { from: number; to: number };
  /** A file that ends with lines that are no entries. */
  unreadable?: string;
  /** The log has entries, and the head that a server always writes is not there to prove its end. */
  unproven?: 'missing' | 'damaged';
}

export async function findEnd(place: LogPlace): Promise<LogEnd> {
  const found = await readHead(place.head);
  const head = typeof found === 'string' ? EMPTY : found;
  const { log, end, tornBytes, unreadable } = await readNewest(place.folder);
  // An entry reaches the disk before the head names it, so a head that is ahead is no crash's doing.
  const isCut = head.n > end.n;
  const isWhole = tornBytes === 0 && unreadable === undefined && !isCut;
  return {
    end: isCut ? head : end,
    tornBytes,
    ...(isWhole && log && { log }),
    ...(isCut && { lost: { from: end.n + 1, to: head.n } }),
    ...(unreadable !== undefined && { unreadable }),
    ...(typeof found === 'string' && (found === 'damaged' || end.n > 0) && { unproven: found }),
  };
}

interface Newest {
  log: LogName | undefined;
  end: ChainEnd;
  tornBytes: number;
  unreadable: string | undefined;
}

async function readNewest(folder: string): Promise<Newest> {
  const newest: Newest = { log: undefined, end: EMPTY, tornBytes: 0, unreadable: undefined };
  for (const log of (await listLogs(folder)).toReversed()) {
    newest.log ??= log;
    for await (const { bytes, isWhole } of readLines(join(folder, log.name))) {
      const entry = isWhole ? parseLine(bytes.toString()) : undefined;
      if (entry) newest.end = endAfter(entry.n, bytes);
      else if (isWhole) newest.unreadable = log.name;
      else newest.tornBytes += bytes.length;
    }
    if (newest.end.n > 0) break;
  }
  return newest;
}
