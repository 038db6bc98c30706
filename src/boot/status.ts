/** Gathers how the server does from its parts and from the metrics of all threads that answer in time. Main thread. */
import type { EngineStatus } from '../front/routes/admin-status.js';
import { VERSION } from '../shared/version.js';
import type { Outages } from './outages.js';
import type { Parts } from './parts.js';

export interface StatusParts {
  readiness: () => { ready: boolean; reasons: string[] };
  outages: Pick<Outages, 'current'>;
  threads: { readonly size: number; readonly alive: number };
  parts: Parts;
  /** As `getMetricsAsJSON` gives them, of each thread. */
  metrics: () => Promise<object[][]>;
}

interface Value {
  /** Of a histogram: `…_sum`, `…_count`. */
  metricName?: string;
  labels: Record<string, string>;
  value: number;
}

/** A login is for each user to make. */
const FINE = new Set(['healthy', 'needs_login']);

/** Once: a clock that is set, or rounding, must not look like another start. */
const STARTED_AT = new Date(performance.timeOrigin).toISOString();

export async function engineStatus(from: StatusParts): Promise<EngineStatus> {
  const metrics = (await from.metrics()).flat();
  const values = (name: string): Value[] =>
    metrics.flatMap(
      (metric) => ('name' in metric && metric.name === name && 'values' in metric ? metric.values : []) as Value[],
    );
  const sum = (name: string): number => values(name).reduce((total, { value }) => total + value, 0);
  const timed = (name: string): { count: number; seconds: number } => {
    const part = (end: string): number =>
      values(name)
        .filter(({ metricName }) => metricName === `${name}_${end}`)
        .reduce((total, { value }) => total + value, 0);
    return { count: part('count'), seconds: part('sum') };
  };
  const turns = values('fairlead_turns_total');
  const uptimeMs = Math.round(process.uptime() * 1_000);
  const { store, sandbox, model } = from.parts;
  return {
    version: VERSION,
    node: process.versions.node,
    pid: process.pid,
    startedAt: STARTED_AT,
    uptimeMs,
    ...from.readiness(),
    outages: from.outages
      .current()
      .map(({ part, since, why }) => ({ part, since: new Date(since).toISOString(), why })),
    mcpServers: values('fairlead_mcp_server_state').flatMap(({ labels: { server, state }, value }) =>
      value === 1 && server !== undefined && state !== undefined && !FINE.has(state) ? [{ name: server, state }] : [],
    ),
    sessionsInMemory: sum('fairlead_sessions_in_memory'),
    turns: { running: sum('fairlead_turns_running') },
    modelCalls: { running: sum('fairlead_model_calls'), waiting: sum('fairlead_model_calls_waiting') },
    sandboxes: values('fairlead_sandboxes').map(({ labels, value }) => ({
      server: labels['server'] ?? '',
      state: labels['state'] ?? '',
      count: value,
    })),
    sandboxLine: sum('fairlead_sandbox_line'),
    threads: { size: from.threads.size, alive: from.threads.alive },
    totals: {
      turns: turns.reduce((total, { value }) => total + value, 0),
      failedTurns: turns
        .filter(({ labels }) => labels['stop_reason'] === 'error')
        .reduce((total, { value }) => total + value, 0),
      firstToken: timed('fairlead_first_token_seconds'),
      store: timed('fairlead_store_seconds'),
      tools: timed('fairlead_tool_seconds'),
      refusedRequests: sum('fairlead_refused_requests_total'),
      modelRefusals: sum('fairlead_model_rate_refusals_total'),
    },
    loops: values('fairlead_event_loop_delay_seconds')
      .filter(({ labels }) => labels['quantile'] === '0.99')
      .map(({ labels, value }) => ({ thread: labels['thread'] ?? '', seconds: value })),
    parts: { store: store.describe, sandbox: sandbox.describe, model: model.describe },
  };
}
