/** The ratios as a markdown table, put between two comments of a text. */
import { format } from 'prettier';
import type { BenchResult } from '../suite/bench.js';
import { aimText, figure } from '../suite/terminal.js';
import { setups } from './setup.js';
import { readVerdict } from './verdict.js';
import { table } from '../shared/figures.js';

export const BEGIN = '<!-- bench:begin -->';
export const END = '<!-- bench:end -->';

/** Formatted with Prettier, so that the format check passes. */
export async function ratiosMarkdown(results: readonly BenchResult[]): Promise<string> {
  const where = setups(results).map(({ setup, benches }) => `${plain(setup)} (${plain(benches.join(', '))})`);
  const rows = results.flatMap((result) =>
    result.ratios.map((ratio) => [
      `${result.bench}, ${result.form}`,
      ratio.name,
      figure(ratio),
      aimText(ratio),
      readVerdict(ratio),
    ]),
  );
  const cells = rows.map((row) => row.map(plain));
  const markdown = `${where.join(';\n')}:\n\n${table(['bench', 'figure', 'value', 'aim', ''], cells)}\n`;
  return format(markdown, { parser: 'markdown', proseWrap: 'preserve' });
}

/** Puts the block between the markers, which it adds at the end where they are missing. Throws when there is not exactly one pair. */
export function withBlock(text: string, block: string): string {
  const between = `${BEGIN}\n\n${block.trim()}\n\n${END}`;
  const begins = text.split(BEGIN).length - 1;
  const ends = text.split(END).length - 1;
  if (begins === 0 && ends === 0) return `${text.trimEnd()}\n\n${between}\n`.trimStart();
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begins !== 1 || ends !== 1 || end < begin) throw new Error(`there is not one ${BEGIN} with one ${END} after it`);
  return text.slice(0, begin) + between + text.slice(end + END.length);
}

/** Escapes markdown. */
function plain(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[\\`*_[\]<>|~&$]/g, String.raw`\$&`);
}
