/** Pairs the ratios of two sides, and finds other differences between their results. Pure. */
import type { BenchResult, Ratio } from '../suite/bench.js';
import { machineText } from '../report-page/setup.js';
import { judge, type Judgement } from './judge.js';
import { idOf } from './old-names.js';

export interface Side {
  /** As the user gave it: a commit's name or a path. */
  name: string;
  results: BenchResult[];
}

export interface Compared extends Judgement {
  /** `http`, or `http (full)`. */
  bench: string;
  ratio: Pick<Ratio, 'name' | 'unit' | 'better'>;
}

/** Pairs ratios by id, in the order of their first appearance. A ratio whose unit or direction changed is another one. */
export function compare(a: Side, b: Side): Compared[] {
  const pairs = new Map<string, Pick<Compared, 'bench' | 'ratio'> & { a: number[]; b: number[] }>();
  for (const side of ['a', 'b'] as const) {
    for (const result of (side === 'a' ? a : b).results) {
      for (const ratio of result.ratios) {
        const bench = benchOf(result);
        const key = JSON.stringify([bench, idOf(result.bench, ratio), ratio.unit, ratio.better]);
        const pair = pairs.get(key) ?? { bench, ratio, a: [], b: [] };
        pair.ratio = ratio; // the newest name is shown
        pair[side].push(ratio.value);
        pairs.set(key, pair);
      }
    }
  }
  return [...pairs.values()].map(({ bench, ratio, a, b }) => ({ bench, ratio, ...judge(ratio.better, a, b) }));
}

/** Reasons other than the code why the two may differ, a sentence each. */
export function differences(a: Side, b: Side): string[] {
  const found: string[] = [];
  for (const side of [a, b]) {
    const commits = distinct(side.results.map(({ commit }) => commit));
    if (commits.length > 1) found.push(`${side.name} has results of several commits: ${commits.join(', ')}`);
  }
  const all = [...a.results, ...b.results];
  const machines = distinct(all.map(({ machine }) => machineText(machine)));
  if (machines.length > 1) found.push(`not all are of the same machine and Node: ${machines.join('; ')}`);
  for (const bench of distinct(all.map(benchOf))) {
    const [inA = [], inB = []] = [a, b].map(({ results }) =>
      results.filter((result) => benchOf(result) === bench).map((result) => result.settings),
    );
    if (inA.length === 0 || inB.length === 0) {
      found.push(`${bench} is in ${inA.length > 0 ? a.name : b.name} only`);
      continue;
    }
    const differing = distinct([...inA, ...inB].flatMap((settings) => Object.keys(settings))).flatMap((key) => {
      const [valuesA, valuesB] = [inA, inB].map((all) =>
        distinct(all.map((settings) => String(settings[key] ?? 'none'))),
      );
      if (valuesA?.some((value) => valuesB?.includes(value))) return [];
      return [`${key} is ${valuesA?.join(' or ')} and ${valuesB?.join(' or ')}`];
    });
    if (differing.length > 0) found.push(`the settings of ${bench} differ: ${differing.join('; ')}`);
  }
  return found;
}

/** Each doubt once, with its bench and side. */
export function doubtsOf(...sides: Side[]): string[] {
  return sides.flatMap(({ name, results }) =>
    distinct(results.flatMap((result) => result.doubts.map((doubt) => `${benchOf(result)}, ${name}: ${doubt}`))),
  );
}

export function benchOf({ bench, form }: Pick<BenchResult, 'bench' | 'form'>): string {
  return form === 'short' ? bench : `${bench} (${form})`;
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}
