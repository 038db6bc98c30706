/** Splits MCP's stdio stream into lines of bounded length, in linear time. Every thread, and inside a sandbox. */

const NEWLINE = 0x0a;

export class LineReader {
  readonly #maxBytes: number;
  readonly #tooLong: (maxBytes: number) => Error;
  /** The parts of the unfinished line. */
  #parts: Buffer[] = [];
  #bytes = 0;

  /** `tooLong` makes the error that `read` throws when a line has more than `maxBytes`. */
  constructor(maxBytes: number, tooLong: (maxBytes: number) => Error) {
    this.#maxBytes = maxBytes;
    this.#tooLong = tooLong;
  }

  /** The lines that end in this chunk. */
  *read(chunk: Buffer): Iterable<string> {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      this.#append(chunk.subarray(from, end));
      from = end + 1;
      yield this.takeRest().toString('utf8');
    }
    if (from < chunk.length) this.#append(chunk.subarray(from));
  }

  /** Takes what has been read of the unfinished line. */
  takeRest(): Buffer {
    const [only] = this.#parts;
    const rest = this.#parts.length === 1 && only ? only : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    return rest;
  }

  #append(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#maxBytes) throw this.#tooLong(this.#maxBytes);
    this.#parts.push(part);
  }
}
