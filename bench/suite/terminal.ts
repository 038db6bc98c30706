/** The suite's output: progress on a terminal, results as tables. */
import { styleText } from 'node:util';
import { isMet, type BenchResult, type Ratio } from './bench.js';
import { table } from '../shared/figures.js';

const BAR = 20;

/** On a terminal one line that is rewritten; elsewhere a line for each step. */
export class Progress {
  readonly #name: string;
  readonly #startedAt = performance.now();
  readonly #out = process.stderr;
  #doing = '';
  #share: number | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(name: string) {
    this.#name = name;
    if (this.#out.isTTY) this.#timer = setInterval(() => this.#draw(), 500);
  }

  show(doing: string, share?: number): void {
    const isNew = doing !== this.#doing;
    this.#doing = doing;
    this.#share = share;
    if (this.#out.isTTY) this.#draw();
    else if (isNew) this.#out.write(`${this.#name} ${this.#seconds()} s: ${doing}\n`);
  }

  end(): void {
    clearInterval(this.#timer);
    if (this.#out.isTTY) this.#out.write('\r\u001b[K');
  }

  #draw(): void {
    const share = this.#share;
    const full = Math.round((share ?? 0) * BAR);
    const bar = share === undefined ? '' : ` [${'#'.repeat(full)}${'.'.repeat(BAR - full)}]`;
    const line = `${this.#name} ${this.#seconds()} s${bar} ${this.#doing}`;
    this.#out.write(`\r\u001b[K${line.slice(0, (this.#out.columns || 80) - 1)}`);
  }

  #seconds(): number {
    return Math.round((performance.now() - this.#startedAt) / 1_000);
  }
}

export function resultText(result: BenchResult): string {
  const { bench, question, form, seconds, ratios, tables, doubts } = result;
  return [
    `\n${styled('bold', `${bench}: ${question}`)} (${form}, ${Math.round(seconds)} s)`,
    ...(ratios.length > 0 ? [ratioTable(ratios)] : []),
    ...tables.map(
      ({ title, head, rows }) =>
        `\n${title}\n${table(
          head,
          rows.map((row) => row.map(cell)),
        )}`,
    ),
    ...doubts.map((doubt) => styled('yellow', `! ${doubt}`)),
  ].join('\n');
}

export function ratioTable(ratios: readonly Ratio[]): string {
  const rows = ratios.map((ratio) => [ratio.name, figure(ratio), aimText(ratio), verdict(ratio)]);
  return table(['', 'value', 'aim', ''], rows);
}

export function figure({ value, unit }: Pick<Ratio, 'value' | 'unit'>): string {
  return `${cell(value)} ${unit}`.trim();
}

export function aimText({ aim, better, unit }: Ratio): string {
  return aim === undefined ? '' : `${better === 'higher' ? '≥' : '≤'} ${figure({ value: aim, unit })}`;
}

export function verdict(ratio: Ratio): string {
  const met = isMet(ratio);
  return met === undefined ? '' : met ? 'met' : 'missed';
}

/** Three significant digits, and separated thousands. */
export function cell(value: string | number): string {
  if (typeof value === 'string') return value;
  if (!Number.isFinite(value)) return '—';
  const size = Math.abs(value);
  const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function styled(format: 'bold' | 'yellow', text: string): string {
  return process.stdout.isTTY && !process.env['NO_COLOR'] ? styleText(format, text) : text;
}
