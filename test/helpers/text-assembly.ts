/** Puts streamed text together by offset, as protocol.md lets a client: pieces may repeat, none may be missing or differ. */

export class TextAssembly {
  #text = '';
  readonly problems: string[] = [];
  readonly #name: string;

  readonly #crashes: boolean;

  /** `crashes`: the server may die between a block's last pieces and its end: then the end alone is told again. */
  constructor(name: string, crashes = false) {
    this.#name = name;
    this.#crashes = crashes;
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
    const fits = this.#crashes ? whole.startsWith(this.#text) : this.#text === whole;
    if (this.#text !== '' && !fits) {
      this.problems.push(
        `${this.#name}: ${this.#text.length} streamed units differ from ${whole.length} finished ones`,
      );
    }
    this.#text = whole;
  }
}
