/** Figures from samples of turns. Pure. */
import type { Talk } from './messages.js';
import type { Stretch } from './meter.js';
import { between, type HistogramRead } from './scrape.js';
import { percentile } from '../shared/figures.js';

export function firsts({ turns }: Talk): number[] {
  return turns.filter(({ error }) => error === undefined).map(({ firstMs }) => firstMs);
}

export function turnTimes({ turns }: Talk): number[] {
  return turns.filter(({ error }) => error === undefined).map(({ turnMs }) => turnMs);
}

/** 0 to 1; NaN of no turns. */
export function errorShare({ turns }: Talk): number {
  return turns.filter(({ error }) => error !== undefined).length / turns.length;
}

/** The most frequent first. */
export function errorCounts({ turns }: Talk): [error: string, count: number][] {
  const counts = new Map<string, number>();
  for (const { error } of turns) if (error !== undefined) counts.set(error, (counts.get(error) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}

export function average(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of a metric, in that stretch. */
export function histogramOf(
  { before, after }: Pick<Stretch, 'before' | 'after'>,
  name: string,
  labels: Record<string, string> = {},
): HistogramRead {
  return between(before.histogram(name, labels), after.histogram(name, labels));
}

/** p99 of that thread. */
export function loopDelayMs({ after }: Stretch, thread: string): number {
  return 1_000 * after.sum('fairlead_event_loop_delay_seconds', { thread, quantile: '0.99' });
}

/** Of the agent thread with the longest delay. */
export function agentLoopDelayMs(stretch: Stretch): number {
  const threads = stretch.after.labelValues('fairlead_event_loop_delay_seconds', 'thread');
  return Math.max(...threads.filter((name) => name.startsWith('agent-')).map((name) => loopDelayMs(stretch, name)));
}

export function p95(values: readonly number[]): number {
  return percentile(values, 95);
}
