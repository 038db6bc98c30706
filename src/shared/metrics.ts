/** Metrics by prom-client: each thread has a registry, and the main thread joins them for /metrics. Every thread. */
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** This thread's registry. Each module adds its own metrics to it, named `fairlead_AREA_WHAT_unit`. */
export const registry = new Registry();

export const SECONDS_FAST = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
export const SECONDS_SLOW = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600];

/** `collect` gives the totals at each scrape, for events so frequent that `inc` would cost too much. */
export function counter<L extends string>(
  name: string,
  help: string,
  labelNames: readonly L[] = [],
  collect?: () => { labels: Record<L, string>; count: number }[],
): Counter<L> {
  return new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    ...(collect && {
      collect() {
        this.reset();
        for (const { labels, count } of collect()) this.inc(labels, count);
      },
    }),
  });
}

/** `collect` sets the gauge at each scrape, so that nothing has to keep it up to date. */
export function gauge<L extends string>(
  name: string,
  help: string,
  labelNames: readonly L[] = [],
  collect?: (gauge: Gauge<L>) => void,
): Gauge<L> {
  return new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    ...(collect && {
      collect() {
        collect(this);
      },
    }),
  });
}

export function histogram<L extends string>(
  name: string,
  help: string,
  buckets: number[],
  labelNames: readonly L[] = [],
): Histogram<L> {
  return new Histogram({ name, help, buckets, labelNames, registers: [registry] });
}

/** How often the loop is sampled. The histogram includes this interval, so it is subtracted. */
const LOOP_RESOLUTION_MS = 10;

/** Adds event-loop delay and heap of this thread, read at each scrape. The thread's entry file calls it once. */
export function watchThread(thread: string): { close(): void } {
  const delay: IntervalHistogram = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delay.enable();
  gauge('fairlead_event_loop_delay_seconds', 'Event-loop delay since the last scrape', ['thread', 'quantile'], (g) => {
    g.set({ thread, quantile: '0.5' }, delaySeconds(delay.percentile(50)));
    g.set({ thread, quantile: '0.99' }, delaySeconds(delay.percentile(99)));
    g.set({ thread, quantile: '1' }, delaySeconds(delay.max));
    delay.reset();
  });
  gauge('fairlead_heap_used_bytes', 'JavaScript heap in use', ['thread'], (g) => {
    g.set({ thread }, process.memoryUsage().heapUsed);
  });
  return { close: () => void delay.disable() };
}

function delaySeconds(nanoseconds: number): number {
  return Math.max(0, nanoseconds / 1e9 - LOOP_RESOLUTION_MS / 1e3);
}

/** Joins the threads' registries, given as `getMetricsAsJSON`, into Prometheus' text format. */
export function joinMetrics(perThread: object[][]): Promise<string> {
  return AggregatorRegistry.aggregate(perThread).metrics();
}
