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
    parts: { store: store.describe, sandbox: sandbox.describe, model: model.describe },
  };
}
