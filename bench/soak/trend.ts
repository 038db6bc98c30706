/** A straight line through a series of measurements, and how sure its slope is. */

export type Point = readonly [x: number, y: number];

export interface Trend {
  /** y for each x. */
  slope: number;
  intercept: number;
  /** Half of the slope's interval of 95 %. */
  uncertainty: number;
  points: number;
  /** As many independent measurements would say as much. */
  worth: number;
}

/** As few as the approximation of Student's t below can bear. */
const FEWEST = 4;

/**
 * Least squares. Neighbours in a series are alike, and a fit that takes them for independent is far too sure of itself: the
 * standard error is that of so many points as the residuals' correlation with their neighbours leaves (Santer et al. 2000,
 * J. Geophys. Res. 105, p. 7337). The uncertainty of fewer than five points is NaN.
 */
export function fitTrend(points: readonly Point[]): Trend {
  const count = points.length;
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const spread = sum(points.map(([x]) => (x - meanX) ** 2));
  const slope = sum(points.map(([x, y]) => (x - meanX) * (y - meanY))) / spread;
  const intercept = meanY - slope * meanX;
  const residuals = points.map(([x, y]) => y - intercept - slope * x);
  const left = sum(residuals.map((residual) => residual ** 2));
  const alike =
    left === 0 ? 0 : sum(residuals.slice(1).map((residual, index) => residual * (residuals[index] ?? 0))) / left;
  const worth = Math.min(count, Math.max(FEWEST, (count * (1 - alike)) / (1 + alike)));
  const error = count > FEWEST ? Math.sqrt(left / (worth - 2) / spread) : Number.NaN;
  return { slope, intercept, uncertainty: studentT(worth - 2) * error, points: count, worth };
}

/** How long such a series would have to be for this uncertainty: noise that stays as it is goes with the power of 1.5. */
export function lengthFor(trend: Trend, length: number, uncertainty: number): number {
  return length * (trend.uncertainty / uncertainty) ** (2 / 3);
}

/** Two-sided 95 %: its expansion around the normal's 1.96, within 3 % from two degrees of freedom on. */
function studentT(freedom: number): number {
  return 1.96 + 2.37 / freedom + 2.82 / freedom ** 2 + 2.56 / freedom ** 3;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
