/** The server's /metrics, and the difference of two scrapes. */
import { fetchMetrics } from '../../test/helpers/metrics.js';

export interface HistogramRead {
  sum: number;
  count: number;
  /** Upper bound, in the metric's unit, and how many were at or below it. */
  buckets: [bound: number, count: number][];
}

interface Series {
  name: string;
  labels: ReadonlyMap<string, string>;
  value: number;
}

export class Scrape {
  readonly #series: Series[];

  constructor(text: string) {
    this.#series = text.split('\n').flatMap((line) => readLine(line) ?? []);
  }

  /** Of all series of that name that have these labels. */
  sum(name: string, labels: Record<string, string> = {}): number {
    return this.#of(name, labels).reduce((sum, { value }) => sum + value, 0);
  }

  labelValues(name: string, label: string): string[] {
    return [...new Set(this.#of(name, {}).flatMap(({ labels }) => labels.get(label) ?? []))];
  }

  histogram(name: string, labels: Record<string, string> = {}): HistogramRead {
    const counts = new Map<number, number>();
    for (const { labels: own, value } of this.#of(`${name}_bucket`, labels)) {
      const bound = own.get('le') === '+Inf' ? Number.POSITIVE_INFINITY : Number(own.get('le'));
      counts.set(bound, (counts.get(bound) ?? 0) + value);
    }
    return {
      sum: this.sum(`${name}_sum`, labels),
      count: this.sum(`${name}_count`, labels),
      buckets: [...counts].sort(([a], [b]) => a - b),
    };
  }

  #of(name: string, labels: Record<string, string>): Series[] {
    const wanted = Object.entries(labels);
    return this.#series.filter(
      (series) => series.name === name && wanted.every(([key, value]) => series.labels.get(key) === value),
    );
  }
}

export async function scrape(url: string, signal: AbortSignal): Promise<Scrape> {
  return new Scrape(await fetchMetrics(url, signal));
}

export function between(before: HistogramRead, after: HistogramRead): HistogramRead {
  const earlier = new Map(before.buckets);
  return {
    sum: after.sum - before.sum,
    count: after.count - before.count,
    buckets: after.buckets.map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)]),
  };
}

export function mean({ sum, count }: HistogramRead): number {
  return count === 0 ? Number.NaN : sum / count;
}

/** Straight lines between the bounds, as Prometheus' `histogram_quantile`; beyond the last bound, that bound. */
export function quantile({ buckets, count }: HistogramRead, share: number): number {
  if (count === 0) return Number.NaN;
  const rank = share * count;
  let [lower, below] = [0, 0];
  for (const [bound, upTo] of buckets) {
    if (upTo >= rank)
      return Number.isFinite(bound) ? lower + ((bound - lower) * (rank - below)) / (upTo - below) : lower;
    [lower, below] = [bound, upTo];
  }
  return lower;
}

function readLine(line: string): Series | undefined {
  const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (!match) return undefined;
  const [, name = '', labels = '', value] = match;
  return {
    name,
    labels: new Map([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', text = '']) => [key, text])),
    value: Number(value),
  };
}
