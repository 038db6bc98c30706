/** What runs while this bench does: Redis, Fairlead, the two bare servers and the client, each a process of its own. */
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startRedis, type TestRedis } from '../../test/helpers/redis.js';
import { Child } from './child.js';
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
  client: Child;
}

/**
 * Everyone is the user `local`, so one user has all connections. No MCP server: a turn calls no tool. No spare thread:
 * it would be loaded in the middle of the first measurement.
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

/** Ends all of it, whatever `work` does. */
export async function withWorld<T>(mostConnections: number, work: (world: World) => Promise<T>): Promise<T> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const redis = await startRedis();
    stops.push(() => redis.stop());
    const engine = await startEngine({ env: { REDIS_URL: redis.url }, config: configFor(mostConnections) });
    stops.push(() => engine.stop());
    const forked = (name: string): Child => {
      const child = new Child(name);
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

async function listening(child: Child): Promise<Server> {
  const { url } = await child.ask<Listening>();
  return { url, pid: child.pid };
}

/** One after the other: Fairlead stops in good order only while its Redis is there. One that fails does not keep the next. */
async function stopAll(stops: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops) await stop().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw new AggregateError(failures, 'not everything was ended');
}
