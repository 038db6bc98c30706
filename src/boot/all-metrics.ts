/** The metrics of all threads that answer in time. Main thread. */
import { withDeadline } from '../shared/abort.js';
import { FairleadError } from '../shared/errors.js';
import { joinMetrics, registry } from '../shared/metrics.js';
import type { DockerPool } from '../threads/docker-pool.js';
import { STATUS_TIMEOUT_MS, type AllAgents } from './all-agents.js';

/** By server and state; none while the docker thread does not answer. */
export async function sandboxCounts(docker: DockerPool | undefined): Promise<object[]> {
  const metrics = await dockerMetrics(docker);
  const counts = metrics.find((metric) => 'name' in metric && metric.name === 'fairlead_sandboxes');
  const values = counts && 'values' in counts ? (counts.values as { labels: object; value: number }[]) : [];
  return values.map(({ labels, value }) => ({ ...labels, count: value }));
}

async function dockerMetrics(docker: DockerPool | undefined): Promise<object[]> {
  if (!docker) return [];
  return withDeadline({ timeoutMs: STATUS_TIMEOUT_MS, late: silent }, () => docker.run('collect-metrics', {})).then(
    ({ metrics }) => metrics,
    () => [],
  );
}

function silent(): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the docker thread does not answer');
}

/** The metrics of all threads that answer in time. */
export async function scrape(docker: DockerPool | undefined, all: AllAgents): Promise<string> {
  return joinMetrics(await allMetrics(docker, all));
}

export async function allMetrics(docker: DockerPool | undefined, all: AllAgents): Promise<object[][]> {
  const [own, ofDocker, ofAgents] = await Promise.all([
    registry.getMetricsAsJSON(),
    dockerMetrics(docker),
    all.metrics(),
  ]);
  return [own, ofDocker, ...ofAgents];
}
