/** Two servers on one Redis, with the stand-in model: sandboxes are processes, or containers of the Docker daemon. */
import type { Test } from 'tap';
import { dockerHost } from './docker.js';
import { startEngine, type Engine } from './engine.js';
import { startModelServer, type ModelServer } from './model-server.js';
import { startRedis, type TestRedis } from './redis.js';

export interface TwoServersOptions {
  config?: Record<string, unknown>;
  /** Else they are processes, and everybody is `local`. */
  docker?: boolean;
  /** More arguments of redis-server. */
  redisArgs?: string[];
}

export interface TwoServers {
  a: Engine;
  b: Engine;
  model: ModelServer;
  redis: TestRedis;
  /** All of the servers' environment but the store. */
  env: Record<string, string>;
}

/** They end with `t`. What a server has heard of the other only holds after a while: wait for it. */
export async function startTwoServers(
  t: Pick<Test, 'teardown'>,
  { config = {}, docker = false, redisArgs = [] }: TwoServersOptions = {},
): Promise<TwoServers> {
  const redis = await startRedis({ args: redisArgs });
  t.teardown(() => redis.stop());
  const model = await startModelServer();
  t.teardown(() => model.close());
  const env = {
    DOCKER_HOST: docker ? dockerHost() : '',
    ANTHROPIC_API_KEY: 'sk-test-key',
    ANTHROPIC_BASE_URL: model.url,
  };
  const start = async (): Promise<Engine> => {
    const engine = await startEngine({
      config: docker ? config : { sandbox: { driver: 'process' }, ...config },
      env: { ...env, REDIS_URL: redis.url },
    });
    t.teardown(() => engine.stop());
    return engine;
  };
  return { a: await start(), b: await start(), model, redis, env };
}
