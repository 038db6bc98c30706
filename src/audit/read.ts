/** Reads the entries of the whole audit log in order, while a server may be writing it. Main thread and command line. */
import { join } from 'node:path';
import { endAfter, parseLine, type ChainedEntry } from './chain.js';
import { listLogs, type LogName } from './files.js';
import { readLines } from './lines.js';

export interface LogLine {
  file: string;
  /** From 1. */
  line: number;
  /** Undefined: the line is no entry. */
  entry: ChainedEntry | undefined;
  sha256: string;
  text: string;
}

/** `wants` leaves out files that cannot have what is looked for. Lines that end with their file were never finished, and are left out. */
export async function* readLog(
  folder: string,
  wants: (log: LogName, next?: LogName) => boolean = all,
): AsyncGenerator<LogLine> {
  const logs = await listLogs(folder);
  for (const [index, log] of logs.entries()) {
    if (wants(log, logs[index + 1])) yield* readFileOf(folder, log.name);
  }
}

async function* readFileOf(folder: string, file: string): AsyncGenerator<LogLine> {
  let line = 0;
  for await (const { bytes, isWhole } of readLines(join(folder, file))) {
    if (!isWhole) return;
    const text = bytes.toString();
    const entry = parseLine(text);
    yield { file, line: ++line, entry, text, sha256: endAfter(entry?.n ?? 0, bytes).sha256 };
  }
}

function all(): boolean {
  return true;
}
