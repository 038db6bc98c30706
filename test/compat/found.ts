/** What a trial found, as rows of docs/compatibility.md. Pure. */
import { table } from '../../bench/shared/figures.js';

export interface Found {
  /** With its version. */
  what: string;
  how: string;
  found: string;
  ok: boolean;
}

const MAX_WORDS = 300;

export function foundTable(head: readonly string[], rows: readonly Found[]): string {
  return table(
    head,
    rows.map(({ what, how, found }) => [what, how, found].map(plain)),
  );
}

/** One line, bounded. */
export function inWords(text: string, limit = MAX_WORDS): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > limit ? `${line.slice(0, limit)}…` : line;
}

function plain(text: string): string {
  return inWords(text, 1_000).replaceAll('|', String.raw`\|`);
}
