/** Gathers the lines of a listing from an offset on, up to a number and to bytes; a line that does not fit is not made. Runs in the sandbox. */

export class ResultLines {
  /** From 1. */
  readonly first: number;
  /** Something was left out at the end. */
  isFull = false;
  readonly #limit: number;
  readonly #lines: string[] = [];
  #skipped = 0;
  #bytesLeft: number;

  constructor({ offset, limit }: { offset: number; limit: number }, maxBytes: number) {
    this.first = offset;
    this.#limit = limit;
    this.#bytesLeft = maxBytes;
  }

  get shown(): number {
    return this.#lines.length;
  }

  get text(): string {
    return this.#lines.join('\n');
  }

  /** How many more lines are taken notice of: those before the offset, those that are shown, and one that says that there are more. */
  get wanted(): number {
    return this.isFull ? 0 : this.first - this.#skipped + this.#limit - this.#lines.length;
  }

  async add(make: () => string | Promise<string>): Promise<void> {
    if (this.#skipped < this.first - 1) {
      this.#skipped++;
      return;
    }
    if (this.isFull || this.#lines.length >= this.#limit) {
      this.isFull = true;
      return;
    }
    const line = await make();
    const bytes = Buffer.byteLength(line) + 1;
    // One line always fits, since somebody who goes on from offset to offset must come to the end.
    if (bytes > this.#bytesLeft && this.#lines.length > 0) {
      this.isFull = true;
      return;
    }
    this.#bytesLeft -= bytes;
    this.#lines.push(line);
  }
}
