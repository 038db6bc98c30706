/** Reads the lines of one file of the audit log, as bytes: a hash is of what is on the disk. Main thread and command line. */
import { createReadStream } from 'node:fs';

export interface Line {
  bytes: Buffer;
  /** Of its first byte. */
  offset: number;
  /** False: the file ends within it. */
  isWhole: boolean;
}

const NEWLINE = 10;
/** Longer than any entry. A longer line is no entry, and is handed out in pieces. */
export const MAX_LINE_BYTES = 262_144;

/** From `start`, the offset of a line, on. */
export async function* readLines(file: string, start = 0): AsyncGenerator<Line> {
  let rest: Buffer = Buffer.alloc(0);
  let offset = start;
  for await (const chunk of createReadStream(file, { start, highWaterMark: 262_144 })) {
    let bytes = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE)) {
      yield { bytes: bytes.subarray(0, end), offset, isWhole: true };
      offset += end + 1;
      bytes = bytes.subarray(end + 1);
    }
    if (bytes.length > MAX_LINE_BYTES) {
      yield { bytes, offset, isWhole: true };
      offset += bytes.length;
      bytes = bytes.subarray(bytes.length);
    }
    rest = bytes;
  }
  if (rest.length > 0) yield { bytes: rest, offset, isWhole: false };
}
