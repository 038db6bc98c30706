/** Reads a server's `/metrics`. Runs in tests. */
import { fetchMetrics } from '../helpers/metrics.js';

/** Resolves with a function for sums over all threads: `sum(NAME)` or `sum(NAME, 'label="value"')`. */
export async function readMetrics(url: string): Promise<(name: string, label?: string) => number> {
  const text = await fetchMetrics(url);
  return (name, label = '') =>
    text
      .split('\n')
      .filter((line) => /^(\w+)/.exec(line)?.[0] === name && line.includes(label))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
