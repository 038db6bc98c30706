/** Splits an untrusted server's output into lines, and drops what is too long. Agent threads and docker thread. */

const NEWLINE = 0x0a;
/** Of a line that is too long, so much of its beginning and of its end is kept. */
const KEPT_BYTES = 256;

/** What is left of a line that is too long. */
export interface LongLine {
  /** Its first and last bytes. */
  start: string;
  end: string;
}

export class BoundedLines {
  readonly #maxBytes: number;
  #chunk: Buffer | undefined;
  #from = 0;
  /** The parts of the unfinished line. */
  #parts: Buffer[] = [];
  #bytes = 0;
  /** The unfinished line is too long: its bytes are dropped up to its end. */
  #long: { start: Buffer; end: Buffer } | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Only when `next` has returned undefined. */
  push(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#from = 0;
  }

  /** The next whole line, or what is left of one that has more than `maxBytes`; undefined when the chunk has no other. */
  next(): string | LongLine | undefined {
    const chunk = this.#chunk;
    if (!chunk) return undefined;
    const end = chunk.indexOf(NEWLINE, this.#from);
    this.#append(chunk.subarray(this.#from, end < 0 ? chunk.length : end));
    if (end < 0) {
      this.#chunk = undefined;
      return undefined;
    }
    this.#from = end + 1;
    const long = this.#long;
    this.#long = undefined;
    return long ? { start: long.start.toString('utf8'), end: long.end.toString('utf8') } : this.#takeLine().toString();
  }

  /** Takes what has not been returned: the unfinished line, and what follows it in the chunk. */
  takeRest(): Buffer {
    const unread = this.#chunk?.subarray(this.#from) ?? Buffer.alloc(0);
    this.#chunk = undefined;
    this.#long = undefined;
    return Buffer.concat([this.#takeLine(), unread]);
  }

  #takeLine(): Buffer {
    const [only] = this.#parts;
    const line = this.#parts.length === 1 && only ? only : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    return line;
  }

  #append(part: Buffer): void {
    if (part.length === 0) return;
    if (this.#long) {
      this.#long.end = lastOf(this.#long.end, part);
      return;
    }
    this.#bytes += part.length;
    this.#parts.push(part);
    if (this.#bytes <= this.#maxBytes) return;
    const line = this.#takeLine();
    // Copies: a view would keep the whole line in memory.
    this.#long = { start: Buffer.from(line.subarray(0, KEPT_BYTES)), end: lastOf(Buffer.alloc(0), line) };
  }
}

function lastOf(before: Buffer, part: Buffer): Buffer {
  return part.length >= KEPT_BYTES
    ? Buffer.from(part.subarray(-KEPT_BYTES))
    : Buffer.concat([before, part]).subarray(-KEPT_BYTES);
}
