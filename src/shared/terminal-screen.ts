/**
 * What a terminal would show of a program's output: carriage returns, cursor movements and erased lines take effect, colours and
 * titles are dropped. Rows that can no longer change leave at once, so memory does not depend on the output. Pure; any thread.
 */
import { eraseCells, insertCells, overwrite, rowText, widthOf, type Row } from './terminal-row.js';

/** How far the cursor can go back. Programs think that a terminal has 24 rows; some have more progress bars than that. */
const MAX_ROWS = 50;
/** So many more are kept, since rows leave more cheaply together. The cursor does not reach them. */
const SPARE_ROWS = 50;
/** What a program can erase or address. */
const SCREEN_ROWS = 24;
/** A longer row is passed on in pieces; a terminal would have wrapped it long before. */
const MAX_COLUMNS = 8_192;
/** Of all rows together, where many are long. */
const MAX_CHARACTERS = 131_072;
/** A longer sequence is none. */
const MAX_SEQUENCE = 256;

// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const CONTROL = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g;
// oxlint-disable-next-line no-control-regex -- as above
const NEEDS_SCREEN = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]|\r(?!\n)/;
// oxlint-disable-next-line no-control-regex -- as above
const CSI = /\u001B\[([0-?]*)[ -/]*([@-~])/y;
// oxlint-disable-next-line no-control-regex -- as above
const BEGUN = /\u001B(?:\[[0-?]*[ -/]*|[ -/]*)$/y;
// oxlint-disable-next-line no-control-regex -- as above
const STRING = /\u001B[\]PX^_]/y;
// A string ends where another sequence begins: `ESC \\` is one that does nothing else, and may come in two pieces.
// oxlint-disable-next-line no-control-regex -- as above
const STRING_END = /\u0007|\u009C|\u0018|\u001A|(?=[\u001B\n])/g;
// oxlint-disable-next-line no-control-regex -- as above
const SHORT = /\u001B[ -/]*([0-~])/y;

interface Cursor {
  row: number;
  /** Undefined: at the end of the row, whose width nobody has asked for yet. */
  column: number | undefined;
}

export class TerminalScreen {
  readonly #emit: (text: string) => void;
  #rows: Row[] = [''];
  #cursor: Cursor = { row: 0, column: undefined };
  #saved: Cursor = { row: 0, column: 0 };
  /** The rows and the cursor of before, while a full-screen program runs. */
  #main: { rows: Row[]; cursor: Cursor } | undefined;
  /** The beginning of a sequence whose end has not come. */
  #begun = '';
  #inString = false;
  /** Characters that came since the rows were last measured. */
  #unmeasured = 0;

  /** `emit` gets the text of rows that have scrolled out of reach, in order. */
  constructor(emit: (text: string) => void) {
    this.#emit = emit;
  }

  write(given: string): void {
    const text = (this.#begun + given).replaceAll('\r\n', '\n');
    this.#begun = '';
    let at = this.#inString ? this.#endOfString(text, 0) : 0;
    while (at < text.length) {
      CONTROL.lastIndex = at;
      const control = CONTROL.exec(text)?.index ?? text.length;
      if (control > at) this.#print(text.slice(at, control));
      at = control < text.length ? this.#control(text, control) : control;
    }
  }

  /** Passes on what is on the screen. */
  end(): void {
    if (this.#main) {
      this.#emit(`${this.#main.rows.map(rowText).join('\n')}\n`);
      this.#main = undefined;
    }
    this.#emit(this.#rows.map(rowText).join('\n'));
    this.#rows = [''];
    this.#cursor = { row: 0, column: undefined };
  }

  /** The first row that the cursor reaches. */
  get #base(): number {
    return Math.max(0, this.#rows.length - MAX_ROWS);
  }

  /** The first row of the screen. */
  get #top(): number {
    return Math.max(0, this.#rows.length - SCREEN_ROWS);
  }

  get #row(): Row {
    return this.#rows[this.#cursor.row] ?? '';
  }

  set #row(row: Row) {
    this.#rows[this.#cursor.row] = row;
  }

  #column(): number {
    return (this.#cursor.column ??= widthOf(this.#row));
  }

  /** Printable text, tabs and line feeds. */
  #print(text: string): void {
    let at = 0;
    while (at < text.length) {
      if (this.#cursor.row === this.#rows.length - 1 && this.#isAtEnd()) return this.#append(text.slice(at));
      const feed = text.indexOf('\n', at);
      const end = feed === -1 ? text.length : feed;
      if (end > at) this.#overwrite(text.slice(at, end));
      if (feed !== -1) this.#feed();
      at = end + 1;
    }
  }

  #isAtEnd(): boolean {
    const { column } = this.#cursor;
    if (column === undefined) return true;
    const row = this.#row;
    if (column === 0 ? row.length > 0 : column !== widthOf(row)) return false;
    this.#cursor.column = undefined;
    return true;
  }

  /** The quick way of nearly all output: at the end of the last row. */
  #append(text: string): void {
    const last = rowText(this.#row) + text;
    if (text.includes('\n')) this.#appendLines(last);
    else this.#row = last;
    this.#cursor.column = undefined;
    this.#unmeasured += text.length;
    if (this.#unmeasured > MAX_CHARACTERS) this.#measure();
    if (this.#row.length > MAX_COLUMNS) this.#passUnended();
  }

  /** Puts the lines in place of the last row. */
  #appendLines(lines: string): void {
    const first = startOfLastLines(lines, MAX_ROWS);
    if (first > 0) {
      // More lines than the screen keeps: what was on it leaves with them.
      const before = this.#rows.slice(0, -1).map(rowText);
      this.#pass([...before, lines.slice(0, first - 1)].join('\n'));
      this.#rows = lines.slice(first).split('\n');
      this.#saved.row = 0;
    } else {
      this.#rows.pop();
      this.#rows.push(...lines.split('\n'));
      if (this.#rows.length > MAX_ROWS + SPARE_ROWS) this.#scroll(this.#rows.length - MAX_ROWS);
    }
    this.#cursor.row = this.#rows.length - 1;
  }

  /** Long rows leave earlier. */
  #measure(): void {
    let characters = this.#rows.reduce((sum, row) => sum + row.length, 0);
    let count = 0;
    while (count < this.#rows.length - 1 && characters > MAX_CHARACTERS) characters -= this.#rows[count++]!.length;
    if (count > 0) this.#scroll(count);
    this.#unmeasured = 0;
  }

  /** A row without an end, which a terminal would have wrapped: it goes on as a new one. */
  #passUnended(): void {
    if (!this.#main) this.#emit(this.#rows.map(rowText).join('\n'));
    this.#rows = [''];
    this.#cursor.row = 0;
  }

  #overwrite(text: string): void {
    const column = this.#column();
    const { row, end } = overwrite(this.#row, column, text, MAX_COLUMNS);
    this.#row = row;
    this.#cursor.column = end;
  }

  #feed(): void {
    this.#cursor = { row: this.#cursor.row + 1, column: 0 };
    if (this.#cursor.row < this.#rows.length) return;
    this.#rows.push('');
    this.#cursor.column = undefined;
    if (this.#rows.length > MAX_ROWS + SPARE_ROWS) this.#scroll(this.#rows.length - MAX_ROWS);
  }

  #scroll(count: number): void {
    this.#pass(this.#rows.splice(0, count).map(rowText).join('\n'));
    this.#cursor.row = Math.max(0, this.#cursor.row - count);
    this.#saved.row = Math.max(0, this.#saved.row - count);
  }

  /** A full-screen program has no scrollback. */
  #pass(rows: string): void {
    if (!this.#main) this.#emit(`${rows}\n`);
  }

  /** Returns where the text goes on. */
  #control(text: string, at: number): number {
    switch (text[at]) {
      case '\r':
        this.#cursor.column = 0;
        return at + 1;
      case '\b':
        this.#cursor.column = Math.max(0, this.#column() - 1);
        return at + 1;
      case '\v':
      case '\f':
      case '\u0085':
        this.#print('\n');
        return at + 1;
      case '\0':
        // A terminal drops it; here it often separates names, which must not run together.
        this.#print('\uFFFD');
        return at + 1;
      case '\u009B':
        return this.#escape(`\u001B[${text.slice(at + 1)}`, 0) + at - 1;
      case '\u001B':
        return this.#escape(text, at);
      default:
        return at + 1;
    }
  }

  #escape(text: string, at: number): number {
    CSI.lastIndex = at;
    const csi = CSI.exec(text);
    if (csi) {
      if (csi[2] !== 'm') this.#sequence(csi[2]!, csi[1]!);
      return CSI.lastIndex;
    }
    STRING.lastIndex = at;
    if (STRING.test(text)) return this.#endOfString(text, STRING.lastIndex);
    BEGUN.lastIndex = at;
    if (BEGUN.test(text)) {
      if (text.length - at <= MAX_SEQUENCE) this.#begun = text.slice(at);
      return text.length;
    }
    SHORT.lastIndex = at;
    const short = SHORT.exec(text);
    if (!short || text[at + 1] === '[') return at + (text[at + 1] === '[' ? 2 : 1);
    this.#short(short[0].length === 2 ? short[1]! : '');
    return SHORT.lastIndex;
  }

  /** A title, a link or a picture: dropped, however long. */
  #endOfString(text: string, at: number): number {
    STRING_END.lastIndex = at;
    const end = STRING_END.exec(text);
    this.#inString = !end;
    return end ? end.index + end[0].length : text.length;
  }

  #short(kind: string): void {
    if (kind === '7') this.#saved = { row: this.#cursor.row, column: this.#column() };
    else if (kind === '8') this.#cursor = { row: this.#reached(this.#saved.row), column: this.#saved.column };
    else if (kind === 'M') this.#move(-1, this.#column());
    else if (kind === 'D') this.#move(1, this.#column());
    else if (kind === 'E') this.#feed();
    else if (kind === 'c') this.#clear();
  }

  #sequence(kind: string, parameters: string): void {
    const [first = 0, second = 0] = parameters.split(';').map((text) => Number.parseInt(text, 10) || 0);
    const count = Math.min(Math.max(1, first), MAX_COLUMNS);
    switch (kind) {
      case 'A':
        return this.#move(-count, this.#column());
      case 'B':
      case 'e':
        return this.#move(count, this.#column());
      case 'C':
      case 'a':
        return this.#move(0, this.#column() + count);
      case 'D':
        return this.#move(0, this.#column() - count);
      case 'E':
        return this.#move(count, 0);
      case 'F':
        return this.#move(-count, 0);
      case 'G':
      case '`':
        return this.#move(0, count - 1);
      case 'd':
        return this.#move(this.#top + count - 1 - this.#cursor.row, this.#column());
      case 'H':
      case 'f':
        return this.#move(this.#top + count - 1 - this.#cursor.row, Math.max(1, second) - 1);
      case 'J':
        return this.#eraseScreen(first);
      case 'K':
        return this.#eraseRow(first);
      case 'P':
        this.#row = eraseCells(this.#row, this.#column(), count, 'close');
        return;
      case 'X':
        this.#row = eraseCells(this.#row, this.#column(), count, 'blank');
        return;
      case '@':
        this.#row = insertCells(this.#row, this.#column(), count, MAX_COLUMNS);
        return;
      case 's':
        return this.#short('7');
      case 'u':
        return this.#short('8');
      case 'h':
      case 'l':
        if (/^\?(?:47|1047|1049)$/.test(parameters)) this.#switch(kind === 'h');
        return;
      default: // colours, modes and questions
    }
  }

  #move(rows: number, column: number): void {
    const row = Math.min(Math.max(this.#base, this.#cursor.row + rows), this.#base + MAX_ROWS - 1);
    while (this.#rows.length <= row) this.#rows.push('');
    this.#cursor = { row, column: Math.min(Math.max(0, column), MAX_COLUMNS) };
  }

  #reached(row: number): number {
    return Math.min(Math.max(this.#base, row), this.#rows.length - 1);
  }

  #eraseScreen(how: number): void {
    const { row } = this.#cursor;
    if (how === 0) {
      this.#eraseRow(0);
      this.#rows.length = row + 1;
    } else if (how === 1) {
      for (let at = this.#top; at < row; at++) this.#rows[at] = '';
      this.#eraseRow(1);
    } else if (how === 2) this.#clear();
  }

  /** What stood above the screen stays. The cursor goes home, as programs send it there before or after. */
  #clear(): void {
    if (this.#top > 0) this.#scroll(this.#top);
    this.#rows = [''];
    this.#cursor = { row: 0, column: undefined };
    this.#saved = { row: 0, column: 0 };
  }

  #eraseRow(how: number): void {
    const column = this.#column();
    if (how === 0) this.#row = eraseCells(this.#row, column, Infinity, 'close');
    else if (how === 1) this.#row = eraseCells(this.#row, 0, column + 1, 'blank');
    else this.#row = '';
  }

  /** A full-screen program leaves nothing behind when it ends. */
  #switch(on: boolean): void {
    if (on && !this.#main) {
      this.#main = { rows: this.#rows, cursor: this.#cursor };
      this.#rows = [''];
      this.#cursor = { row: 0, column: undefined };
    } else if (!on && this.#main) {
      this.#rows = this.#main.rows;
      this.#cursor = this.#main.cursor;
      this.#main = undefined;
    }
  }
}

/** Where the last `count` lines begin; 0 when there are no more. */
function startOfLastLines(text: string, count: number): number {
  let at = text.length;
  for (let line = 0; line < count; line++) {
    if (at === 0) return 0;
    at = text.lastIndexOf('\n', at - 1);
    if (at === -1) return 0;
  }
  return at + 1;
}

/** The text as a terminal would show it; a text without control characters is returned as it is. */
export function asShown(text: string): string {
  if (!NEEDS_SCREEN.test(text)) return text;
  const parts: string[] = [];
  const screen = new TerminalScreen((part) => parts.push(part));
  screen.write(text);
  screen.end();
  return parts.join('');
}
