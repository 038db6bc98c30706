/** The processes of this bench: Redis, Fairlead, the two bare servers and the client. */
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startRedis, type TestRedis } from '../../test/helpers/redis.js';
import { ForkedChild } from './child.js';
import { checkHealth } from './health-answer.js';
import type { Listening } from './messages.js';

export interface Server {
  url: string;
  pid: number;
}

export interface World {
  engine: Engine;
  redis: TestRedis;
  uws: Server;
  node: Server;
  client: ForkedChild;
}

/**
 * All connections belong to the user `local`. No MCP server: a turn calls no tool. No spare thread: it would load in the
 * middle of the first measurement.
 */
export function configFor(mostConnections: number): Record<string, unknown> {
  return {
    agents: { spare: false },
    limits: { maxSocketsPerUser: 2 * mostConnections },
    mcpServers: {},
    model: { provider: 'demo' },
    sandbox: { driver: 'process' },
  };
}

/** Ends all processes, whatever `work` does. */
export async function withWorld<T>(mostConnections: number, work: (world: World) => Promise<T>): Promise<T> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const redis = await startRedis();
    stops.push(() => redis.stop());
    const engine = await startEngine({ env: { REDIS_URL: redis.url }, config: configFor(mostConnections) });
    stops.push(() => engine.stop());
    const forked = (name: string): ForkedChild => {
      const child = new ForkedChild(name);
      stops.push(() => child.stop());
      return child;
    };
    const uws = await listening(forked('bare-uws-main'));
    const node = await listening(forked('bare-node-main'));
    const client = forked('load-main');
    await engine.waitForReadiness(200);
    for (const { url } of [engine, uws, node]) await checkHealth(url);
    return await work({ engine, redis, uws, node, client });
  } finally {
    await stopAll(stops.toReversed());
  }
}

async function listening(child: ForkedChild): Promise<Server> {
  const { url } = await child.ask<Listening>();
  return { url, pid: child.pid };
}

/** One after the other: Fairlead stops in order only while Redis runs. A failure does not keep the next from ending. */
async function stopAll(stops: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops) await stop().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw new AggregateError(failures, 'not everything was ended');
}
