/** The event-loop delay of the server's threads, from its /metrics. Runs in the bench. */
import { fetchMetrics } from '../../test/helpers/metrics.js';

/** p99 by thread, in ms, since the last call: each scrape resets it. */
export async function loopDelays(url: string): Promise<Map<string, number>> {
  const text = await fetchMetrics(url);
  const delays = new Map<string, number>();
  for (const [, labels = '', seconds] of text.matchAll(/^fairlead_event_loop_delay_seconds\{([^}]*)\} (\S+)$/gm)) {
    const thread = /thread="([^"]*)"/.exec(labels)?.[1];
    if (thread !== undefined && labels.includes('quantile="0.99"')) delays.set(thread, Number(seconds) * 1_000);
  }
  return delays;
}

/** NaN where the metric is missing, so that it never counts as a good figure. */
export function mainDelay(delays: ReadonlyMap<string, number>): number {
  return delays.get('main') ?? Number.NaN;
}
