/** What the tests of the Redis store share: a Redis, a client for its raw data, a store. Each ends with its test. */
import { createClient } from 'redis';
import type { Test } from 'tap';
import { openRedisStore } from '../../../../workers/agent/store/redis-store.js';
import type { Store, StoreLimits, StoreOptions } from '../../../../workers/agent/store/store.js';
import { startRedis, type TestRedis } from '../../../helpers/redis.js';
import { LIMITS, OWNER } from './store-backend.js';

export async function newRedis(t: Test, args: string[] = []): Promise<TestRedis> {
  const redis = await startRedis({ args });
  t.teardown(() => redis.stop());
  return redis;
}

export async function rawClient(t: Test, url: string) {
  const raw = createClient({ url, RESP: 3 });
  raw.on('error', () => undefined);
  await raw.connect();
  t.teardown(() => raw.destroy());
  return raw;
}

export async function openStore(
  t: Test,
  url: string,
  { owner = OWNER, onError, ...limits }: Partial<StoreLimits> & Partial<Pick<StoreOptions, 'owner' | 'onError'>> = {},
): Promise<Store> {
  const store = await openRedisStore(url, { owner, limits: { ...LIMITS, ...limits }, ...(onError ? { onError } : {}) });
  t.teardown(() => store.close());
  return store;
}

export async function failure(work: Promise<unknown>): Promise<Error & { code?: string; retryAfterMs?: number }> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it succeeded');
}
