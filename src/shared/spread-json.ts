/** Finds an object that a program has printed over several indented lines. Agent threads and docker thread. */

export class SpreadJson {
  readonly #maxLength: number;
  #lines: string[] = [];
  #length = 0;

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** At the last line of an object, all of its lines; else the line itself. */
  add(line: string): string {
    const text = line.trimEnd();
    if (text === '{') {
      this.#lines = [text];
      this.#length = 1;
      return line;
    }
    if (this.#lines.length === 0) return line;
    if (text === '}') {
      const whole = [...this.#lines, text].join('\n');
      this.#lines = [];
      return whole;
    }
    this.#length += line.length + 1;
    if (/^\s/.test(line) && this.#length <= this.#maxLength) this.#lines.push(text);
    else this.#lines = [];
    return line;
  }
}
