/** MCP's stdio framing: one message a line, of a bounded length, in linear time. Runs in the sandbox. */

const NEWLINE = 0x0a;

export class LineReader {
  readonly #maxBytes: number;
  /** Of the line that has not ended. */
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that this chunk ends. Throws a RangeError when one is too long. */
  *read(chunk: Buffer): Iterable<string> {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      this.#append(chunk.subarray(from, end));
      from = end + 1;
      yield this.takeRest().toString('utf8');
    }
    if (from < chunk.length) this.#append(chunk.subarray(from));
  }

  /** What has been read of a line that has not ended; it is forgotten here. */
  takeRest(): Buffer {
    const rest = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    return rest;
  }

  #append(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#maxBytes) throw new RangeError(`a message is longer than ${this.#maxBytes} bytes`);
    this.#parts.push(part);
  }
}
