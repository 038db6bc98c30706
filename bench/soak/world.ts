/** The processes of a soak: Redis, the model and the server; and the number of sandboxes. */
import { createClient } from 'redis';
import { containersOf, dockerHost } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startRedis, type TestRedis } from '../../test/helpers/redis.js';
import { COLLECTABLE } from '../suite/collect.js';
import { childrenOf } from './children.js';
import type { Form } from './form.js';
import { startModelProcess, type ModelProcess } from './model-process.js';

const TOKENS = 40;
const GAP_MS = 2;

export type RedisClient = Awaited<ReturnType<typeof connectRedis>>;

export interface World {
  engine: Engine;
  redis: TestRedis;
  client: RedisClient;
  /** Warm, leased or draining. */
  sandboxes: () => Promise<number>;
  stop(): Promise<void>;
}

export async function startWorld(form: Form): Promise<World> {
  const ends: (() => Promise<unknown>)[] = [];
  // In reverse order; a failure does not keep the others from ending.
  const stop = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (const end of ends.splice(0).toReversed()) await end().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures, 'not all parts of the soak have ended well');
  };
  try {
    const redis = await startRedis();
    ends.push(() => redis.stop());
    const model = await startModelProcess(TOKENS, GAP_MS);
    ends.push(() => model.stop());
    const engine = await startServer(form, redis, model);
    ends.push(() => engine.stop());
    const client = await connectRedis(redis.url);
    ends.push(async () => client.destroy());
    const label = `fairlead.instance=${await engine.instance()}`;
    const sandboxes =
      form.driver === 'docker' ? async () => (await containersOf(label)).length : () => childrenOf(engine.pid);
    return { engine, redis, client, sandboxes, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function startServer(form: Form, redis: TestRedis, model: ModelProcess): Promise<Engine> {
  return startEngine({
    config: {
      listen: { drainTimeoutMs: 2_000 },
      limits: { maxSocketsPerUser: 10 * form.people, maxReadsPerSecond: 0 },
      sandbox: { driver: form.driver, ...form.sandbox },
    },
    env: {
      REDIS_URL: redis.url,
      DOCKER_HOST: form.driver === 'docker' ? dockerHost() : '',
      ANTHROPIC_API_KEY: 'soak',
      ANTHROPIC_BASE_URL: model.url,
      LOG_LEVEL: 'info',
      NODE_OPTIONS: COLLECTABLE,
    },
  });
}

async function connectRedis(url: string) {
  const client = createClient({ url, RESP: 3, maintNotifications: 'disabled' });
  client.on('error', () => undefined); // its commands reject by themselves
  await client.connect();
  return client;
}
