/** The number of a server's sandboxes in a state, from its metrics. */
import type { Engine } from '../../test/helpers/engine.js';
import { fetchMetrics } from '../../test/helpers/metrics.js';

export async function sandboxCount(engine: Engine, state: 'warm' | 'leased', signal: AbortSignal): Promise<number> {
  const text = await fetchMetrics(engine.url, signal);
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith('fairlead_sandboxes{') && line.includes(`state="${state}"`));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
