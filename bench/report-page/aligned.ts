/** A plot's lines as uPlot wants them: one list of x-values for all, and each line's y-values at them. */
import type { Plot } from '../suite/bench.js';

/** `null`: the line has no point there. */
export type Aligned = [xs: number[], ...lines: (number | null)[][]];

/** Points that are no numbers are left out: JSON has no NaN. So is an x that a logarithmic axis has no place for. */
export function aligned({ lines, scale }: Pick<Plot, 'lines' | 'scale'>): Aligned {
  const maps = lines.map(
    ({ points }) =>
      new Map(points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y) && (scale !== 'log' || x > 0))),
  );
  const xs = [...new Set(maps.flatMap((map) => [...map.keys()]))].sort((a, b) => a - b);
  return [xs, ...maps.map((map) => xs.map((x) => map.get(x) ?? null))];
}
