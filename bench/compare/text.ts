/** The text of a comparison. */
import { cell, figure } from '../suite/terminal.js';
import { differences, doubtsOf, compare, type Compared, type Side } from './comparison.js';
import { ASSUMED_NOISE, MIN_CHANGE, type Change, type Sample } from './judge.js';
import { table } from '../shared/figures.js';

const WORDS: Record<Change, string> = {
  better: 'better',
  worse: 'WORSE',
  same: '',
  gone: 'in A only',
  new: 'in B only',
  none: 'no figure',
};

/** With more noise than this share of the figure, more runs are advised. */
const LOUD = 0.2;

export interface Report {
  text: string;
  worse: boolean;
}

export function report(a: Side, b: Side): Report {
  const all = compare(a, b);
  const benches = [...new Set(all.map(({ bench }) => bench))];
  const lines = [`\nA: ${a.name}\nB: ${b.name}`];
  for (const bench of benches) {
    const rows = all.filter((each) => each.bench === bench).map(row);
    lines.push(`\n${bench}\n${table(['', 'A', 'B', 'change', 'noise', ''], rows)}`);
  }
  for (const difference of differences(a, b)) lines.push(`! ${difference}`);
  for (const doubt of doubtsOf(a, b)) lines.push(`! ${doubt}`);
  lines.push('', ...summary(all));
  return { text: lines.join('\n'), worse: all.some(({ change }) => change === 'worse') };
}

function row({ ratio, a, b, noise, change, assumed }: Compared): string[] {
  const by = a.runs > 0 && b.runs > 0 ? b.median - a.median : Number.NaN;
  return [
    `${ratio.name}, ${ratio.better} is better`,
    sampleText(a, ratio.unit),
    sampleText(b, ratio.unit),
    `${by > 0 ? '+' : ''}${share(by, a, ratio.unit)}`,
    `${assumed ? '? ' : '± '}${share(noise, a, ratio.unit)}`,
    WORDS[change],
  ];
}

/** As a share of A's figure where that is positive, otherwise as a value. */
function share(value: number, { median }: Sample, unit: string): string {
  if (!Number.isFinite(value)) return '—';
  return median > 0 ? `${((value / median) * 100).toFixed(1)} %` : figure({ value, unit });
}

function sampleText({ median, min, max, runs }: Sample, unit: string): string {
  if (runs === 0) return '—';
  const range = runs > 1 ? ` (${cell(min)} to ${cell(max)})` : '';
  return `${figure({ value: median, unit })}${range}`;
}

function summary(all: readonly Compared[]): string[] {
  if (all.length === 0) return ['there are no ratios to compare'];
  const names = (change: Change): string[] =>
    all.filter((each) => each.change === change).map(({ bench, ratio }) => `${bench}: ${ratio.name}`);
  const [worse, better] = [names('worse'), names('better')];
  const lines = [
    `${worse.length} worse, ${better.length} better, ${names('same').length} the same within the noise`,
    ...worse.map((name) => `worse: ${name}`),
    ...better.map((name) => `better: ${name}`),
    `(medians, with the lowest and the highest; noise: what medians of as many runs may lie apart by chance, in 99 of 100 cases,`,
    ` at least ${MIN_CHANGE * 100} %)`,
  ];
  if (
    all.some(({ a, b, noise, assumed }) => !assumed && noise > LOUD * Math.max(Math.abs(a.median), Math.abs(b.median)))
  ) {
    lines.push(`(noise above ${LOUD * 100} % hides changes that matter: more runs show them, NAME --runs 7)`);
  }
  if (all.some(({ assumed }) => assumed)) {
    lines.push(`(?: too few runs to know the noise, ${ASSUMED_NOISE * 100} % is taken for it)`);
  }
  return lines;
}
