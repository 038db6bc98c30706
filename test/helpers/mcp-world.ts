/** A whole engine with a real `url` server named docs and the stand-in model, for tests of what becomes of MCP servers. Runs in tests. */
import { setTimeout as delay } from 'node:timers/promises';
import { startEngine, type Engine } from './engine.js';
import { startMcpHttpServer, type McpHttpServer, type McpHttpServerOptions } from './mcp-http-server.js';
import { startModelServer, type ModelServer } from './model-server.js';
import { fetchMetrics } from './metrics.js';

export type Health = { name: string; kind: string; state: string; lastError?: string; tools: { name: string }[] };

export interface World {
  engine: Engine;
  model: ModelServer;
  docs: McpHttpServer;
  health: (server?: string) => Promise<Health>;
  /** Until /v1/mcp says so. */
  until: (holds: (health: Health) => boolean, server?: string) => Promise<Health>;
  /** Until the list of docs, which the agent threads are told of, has shown it to be there or away. */
  untilListed: (state: 'healthy' | 'reconnecting') => Promise<void>;
}

const DEADLINE_MS = 60_000;

/** No sandbox anywhere: `url` servers alone. */
export async function world(
  t: { teardown: (fn: () => Promise<unknown>) => unknown },
  server: McpHttpServerOptions,
  config: Record<string, unknown> = {},
): Promise<World> {
  const docs = await startMcpHttpServer(server);
  t.teardown(() => docs.stop());
  const model = await startModelServer();
  t.teardown(() => model.close());
  const engine = await startEngine({
    config: {
      sandbox: { driver: 'process' },
      approvals: { default: 'allow' },
      ...config,
      mcp: { allowLoopback: true, ...(config['mcp'] as object | undefined) },
      mcpServers: { docs: { url: docs.url }, ...(config['mcpServers'] as object | undefined) },
    },
    env: { DOCKER_HOST: '', ANTHROPIC_API_KEY: 'sk-test', ANTHROPIC_BASE_URL: model.url },
  });
  t.teardown(() => engine.stop());
  const health = async (name = 'docs'): Promise<Health> =>
    (await (await fetch(`${engine.url}/v1/mcp/${name}`)).json()) as Health;
  const metrics = (): Promise<string> => fetchMetrics(engine.url);
  return {
    engine,
    model,
    docs,
    health,
    until: (holds, name) => poll(() => health(name), holds),
    untilListed: async (state) => {
      await poll(metrics, (text) => text.includes(`fairlead_mcp_server_state{server="docs",state="${state}"} 1`));
    },
  };
}

async function poll<T>(read: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const now = await read();
    if (holds(now)) return now;
    if (performance.now() > deadline) throw new Error(`still ${JSON.stringify(now)}`);
    await delay(20);
  }
}

export const names = ({ tools }: Health): string[] => tools.map(({ name }) => name);
/** Names of the tools in that request to the model. */
export const sent = (model: ModelServer, index: number): string[] =>
  model.requests[index]!.body.tools?.map(({ name }) => name) ?? [];
