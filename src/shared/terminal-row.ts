/** One row of a terminal: text, or cells once something in it was overwritten. Pure; any thread. */

/** A cell holds a character with its marks; those that a wide one covers are empty. */
export type Row = string | string[];

const TAB = 8;
const PLAIN = /^[\u0020-\u007E]*$/;
const NO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const WIDE =
  /^[\p{Emoji_Presentation}\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{20000}-\u{3FFFD}]$/u;

export function rowText(row: Row): string {
  return typeof row === 'string' ? row : row.join('');
}

export function widthOf(row: Row): number {
  return typeof row === 'string' && PLAIN.test(row) ? row.length : cellsOf(row).length;
}

/** Writes from a column on, and fills up to it with spaces. `end`: the column after the text. What is wider than `max` is dropped. */
export function overwrite(row: Row, column: number, text: string, max: number): { row: Row; end: number } {
  if (typeof row === 'string' && PLAIN.test(row) && PLAIN.test(text)) {
    const kept = text.slice(0, Math.max(0, max - column));
    const end = column + kept.length;
    return { row: row.slice(0, column).padEnd(column) + kept + row.slice(end), end };
  }
  const cells = cellsOf(row);
  let at = column;
  for (const character of text) {
    if (NO_WIDTH.test(character)) {
      const before = headOf(cells, at - 1);
      if (before >= 0) cells[before] += character;
      continue;
    }
    const width = columnsOf(character, at);
    if (at + width > max) break;
    for (let covered = at; covered < at + width; covered++) blank(cells, covered);
    cells[at] = character;
    cells.fill('', at + 1, at + width);
    at += width;
  }
  return { row: cells, end: at };
}

/** Blanks the cells, or removes them so that what follows moves up. */
export function eraseCells(row: Row, column: number, count: number, how: 'blank' | 'close'): Row {
  const cells = cellsOf(row);
  const end = Math.min(cells.length, column + count);
  for (let at = column; at < end; at++) blank(cells, at);
  if (how === 'close') cells.splice(column, Math.max(0, end - column));
  return asRow(cells);
}

/** Puts spaces before what stands at the column. */
export function insertCells(row: Row, column: number, count: number, max: number): Row {
  const cells = cellsOf(row);
  if (column >= cells.length) return row;
  blank(cells, column, false);
  cells.splice(column, 0, ...Array.from({ length: Math.min(count, max) }, () => ' '));
  cells.length = Math.min(cells.length, max);
  return asRow(cells);
}

/** Text again, which is quicker, when nothing in it is wide. */
export function asRow(cells: string[]): Row {
  const text = cells.join('');
  return PLAIN.test(text) ? text : cells;
}

export function cellsOf(row: Row): string[] {
  if (typeof row !== 'string') return row;
  const cells: string[] = [];
  for (const character of row) {
    if (NO_WIDTH.test(character)) {
      const before = headOf(cells, cells.length - 1);
      if (before >= 0) cells[before] += character;
      else cells.push(character);
      continue;
    }
    const width = columnsOf(character, cells.length);
    cells.push(character);
    for (let covered = 1; covered < width; covered++) cells.push('');
  }
  return cells;
}

function columnsOf(character: string, column: number): number {
  if (character === '\t') return TAB - (column % TAB);
  return WIDE.test(character) ? 2 : 1;
}

function headOf(cells: readonly string[], at: number): number {
  let head = Math.min(at, cells.length - 1);
  while (head > 0 && cells[head] === '') head--;
  return head;
}

/** Makes the cell a space, and all others that its character covers: half of a wide one cannot stand. */
function blank(cells: string[], at: number, itself = true): void {
  while (cells.length <= at) cells.push(' ');
  const head = headOf(cells, at);
  let end = at + 1;
  while (end < cells.length && cells[end] === '') end++;
  if (!itself && head === at) return;
  cells.fill(' ', head, end);
}
