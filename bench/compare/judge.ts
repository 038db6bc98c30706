/** Decides whether a ratio got better or worse from A to B, or whether the difference is noise. Pure. */

export interface Sample {
  median: number;
  min: number;
  max: number;
  runs: number;
}

/** `gone` and `new`: only one of the two has figures. */
export type Change = 'better' | 'worse' | 'same' | 'gone' | 'new' | 'none';

export interface Judgement {
  change: Change;
  a: Sample;
  b: Sample;
  /** How far medians of as many runs may lie apart by chance, in the ratio's unit. */
  noise: number;
  /** With too few runs to know the noise, it is ASSUMED_NOISE, or the range where that is wider. */
  assumed: boolean;
}

/** A smaller change never counts, however quiet the runs. */
export const MIN_CHANGE = 0.03;
/** Single runs of one commit differ by as much on a shared machine. */
export const ASSUMED_NOISE = 0.2;

/** Student's t by degrees of freedom, two-sided 99 %: with dozens of ratios, 95 % would raise a false alarm in every comparison. */
const T_99 = [Infinity, 63.66, 9.92, 5.84, 4.6, 4.03, 3.71, 3.5, 3.36, 3.25, 3.17];
/** The scatter of the runs means something from as many degrees of freedom on. */
const MIN_FREEDOM = 2;
/** A median of few runs scatters more than their mean, by this factor. */
const MEDIAN_OF_MEAN = 1.25;

/** Leaves out values that are not numbers: a missing figure is `null` in JSON. */
export function judge(better: 'higher' | 'lower', as: readonly number[], bs: readonly number[]): Judgement {
  const [inA, inB] = [as.filter(Number.isFinite), bs.filter(Number.isFinite)];
  const [a, b] = [sampleOf(inA), sampleOf(inB)];
  if (inA.length === 0 || inB.length === 0) {
    const change = inA.length > 0 ? 'gone' : inB.length > 0 ? 'new' : 'none';
    return { change, a, b, noise: Number.NaN, assumed: false };
  }
  const size = Math.max(Math.abs(a.median), Math.abs(b.median));
  const freedom = inA.length + inB.length - 2;
  const assumed = freedom < MIN_FREEDOM;
  const noise = assumed
    ? Math.max(ASSUMED_NOISE * size, a.max - a.min, b.max - b.min)
    : (T_99[freedom] ?? Math.min(...T_99)) * MEDIAN_OF_MEAN * scatter(inA, inB);
  const by = b.median - a.median;
  if (Math.abs(by) <= Math.max(noise, MIN_CHANGE * size)) return { change: 'same', a, b, noise, assumed };
  return { change: by > 0 === (better === 'higher') ? 'better' : 'worse', a, b, noise, assumed };
}

/** The standard error of the difference of two means, from their pooled variance. */
function scatter(as: readonly number[], bs: readonly number[]): number {
  const variance = (squares(as) + squares(bs)) / (as.length + bs.length - 2);
  return Math.sqrt(variance * (1 / as.length + 1 / bs.length));
}

/** The sum of the squared distances from the mean. */
function squares(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
}

function sampleOf(values: readonly number[]): Sample {
  return { median: middle(values), min: Math.min(...values), max: Math.max(...values), runs: values.length };
}

/** The mean of the middle two, where there are two; `percentile` takes the nearest rank, which is the lower one. */
function middle(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]];
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}
