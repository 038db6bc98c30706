/** The whole engine on its real parts for one test file: Redis of its own, the Docker daemon, the stand-in model. */
import { containersOf, dockerHost, type Container } from './docker.js';
import { startEngine, type Engine, type EngineOptions } from './engine.js';
import { startModelServer, type ModelServer } from './model-server.js';
import { startRedis, type TestRedis } from './redis.js';

export interface Stack {
  engine: Engine;
  model: ModelServer;
  redis: TestRedis;
  /** Containers that this run of the engine has leased to one session, or to any, and that are still there. */
  containers(session?: string): Promise<Container[]>;
  /** The same, of a session that has one: waits until the engine has logged whose it is, which may come after the tool's result. */
  leasedTo(session: string): Promise<Container[]>;
  /** Those on its shelf too, and what an earlier run left. */
  allContainers(): Promise<Container[]>;
  stop(): Promise<void>;
}

export async function startStack(options: Pick<EngineOptions, 'config' | 'env' | 'program'> = {}): Promise<Stack> {
  const redis = await startRedis();
  const model = await startModelServer();
  let engine: Engine;
  try {
    engine = await startEngine({
      ...options,
      env: {
        REDIS_URL: redis.url,
        DOCKER_HOST: dockerHost(),
        ANTHROPIC_API_KEY: 'sk-test-key',
        ANTHROPIC_BASE_URL: model.url,
        ...options.env,
      },
    });
  } catch (error) {
    await model.close();
    await redis.stop();
    throw error;
  }
  const instance = await engine.instance();
  const containers = async (session?: string): Promise<Container[]> => {
    const leased = engine.logs.filter((line) => line.msg === 'sandbox leased');
    const ids = leased.flatMap((line) =>
      session === undefined || line['session'] === session ? [line['sandbox']] : [],
    );
    return (await containersOf(`fairlead.instance=${instance}`)).filter(({ id }) => ids.includes(id));
  };
  return {
    engine,
    model,
    redis,
    containers,
    leasedTo: async (session) => {
      const leases = (): number =>
        engine.logs.filter((line) => line.msg === 'sandbox leased' && line['session'] === session).length;
      for (;;) {
        const known = leases();
        const found = await containers(session);
        if (found.length > 0) return found;
        await engine.waitForLog(() => leases() > known);
      }
    },
    allContainers: () => containersOf(`fairlead.instance=${instance}`),
    stop: async () => {
      try {
        await engine.stop();
      } finally {
        await model.close();
        await redis.stop();
      }
    },
  };
}
