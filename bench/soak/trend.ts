/** A straight line through a series of measurements, and the uncertainty of its slope. */

export type Point = readonly [x: number, y: number];

export interface Trend {
  /** y for each x. */
  slope: number;
  intercept: number;
  /** Half of the slope's 95 % interval. */
  uncertainty: number;
  points: number;
  /** The number of independent measurements that would say as much. */
  worth: number;
}

/** The fewest for which the approximation of Student's t below holds. */
const FEWEST = 4;

/**
 * Least squares. Neighbours in a series are correlated, and a fit that takes them for independent understates its error. The
 * standard error therefore uses the effective number of points, from the residuals' autocorrelation (Santer et al. 2000,
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

/** The length that such a series needs for this uncertainty: with constant noise it falls with length to the power of 1.5. */
export function lengthFor(trend: Trend, length: number, uncertainty: number): number {
  return length * (trend.uncertainty / uncertainty) ** (2 / 3);
}

/** Two-sided 95 %: an expansion around the normal's 1.96, within 3 % from two degrees of freedom on. */
function studentT(freedom: number): number {
  return 1.96 + 2.37 / freedom + 2.82 / freedom ** 2 + 2.56 / freedom ** 3;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
