/** Makes foreign text safe for a terminal, and computes where the cursor is after some text. Pure. */
import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import { escapeControls, UNSAFE } from '../shared/control-characters.js';

/** Removes escape sequences and control characters except \n and \t from model and tool text. */
export function clean(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/\r(?!\n|$)/g, '\n')
    .replaceAll(UNSAFE, '');
}

/** Puts names and arguments on one line. Escapes what `clean` would drop, so that nothing hides. */
export function inline(value: unknown, maxLength = 160): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return cut(
    escapeControls(text)
      .replaceAll('\n', String.raw`\n`)
      .replaceAll('\t', ' '),
    maxLength,
  );
}

/** At most `maxLength` UTF-16 units, never half a surrogate pair. */
export function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const head = text.slice(0, maxLength - 1);
  return `${endsInHalfPair(head) ? head.slice(0, -1) : head}…`;
}

export function endsInHalfPair(text: string): boolean {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last <= 0xdbff;
}

/**
 * The cursor's column after `text` in a terminal of `width` columns. `width` means that the row is full and the terminal
 * has not wrapped yet.
 */
export function advance(column: number, text: string, width: number): number {
  let at = column;
  for (const char of stripVTControlCharacters(text)) {
    if (char === '\n') at = 0;
    else if (char === '\t') at = Math.min(width - 1, (Math.floor(at / 8) + 1) * 8);
    else {
      const size = stringWidth(char);
      at = at + size > width ? size : at + size;
    }
  }
  return at;
}
