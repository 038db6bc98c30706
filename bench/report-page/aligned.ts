/** A plot's lines as uPlot wants them: one list of x-values, and each line's y-values at them. */
import type { Plot } from '../suite/bench.js';

/** `null` where the line has no point. */
export type Aligned = [xs: number[], ...lines: (number | null)[][]];

/** Leaves out points that are not numbers, since JSON has no NaN, and x-values that a logarithmic axis cannot show. */
export function aligned({ lines, scale }: Pick<Plot, 'lines' | 'scale'>): Aligned {
  const maps = lines.map(
    ({ points }) =>
      new Map(points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y) && (scale !== 'log' || x > 0))),
  );
  const xs = [...new Set(maps.flatMap((map) => [...map.keys()]))].sort((a, b) => a - b);
  return [xs, ...maps.map((map) => xs.map((x) => map.get(x) ?? null))];
}
