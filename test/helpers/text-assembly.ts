/** Puts streamed text together by offset, as protocol.md lets a client: pieces may repeat, none may be missing or differ. */

export class TextAssembly {
  #text = '';
  readonly problems: string[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  get text(): string {
    return this.#text;
  }

  /** Offsets count UTF-16 units. */
  add(offset: number, piece: string): void {
    if (offset > this.#text.length) {
      this.problems.push(`${this.#name}: a piece at ${offset}, but only ${this.#text.length} came before it`);
      return;
    }
    const known = this.#text.slice(offset, offset + piece.length);
    if (!piece.startsWith(known)) {
      this.problems.push(`${this.#name}: a piece at ${offset} differs from what came before`);
      return;
    }
    this.#text += piece.slice(known.length);
  }

  /** The finished text is the truth; what was streamed must be all of it, or nothing (a replay). */
  finish(whole: string): void {
    if (this.#text !== '' && this.#text !== whole) {
      this.problems.push(
        `${this.#name}: ${this.#text.length} streamed units differ from ${whole.length} finished ones`,
      );
    }
    this.#text = whole;
  }
}
