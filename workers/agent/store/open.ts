/** Opens the store that the start-up has chosen. Runs in agent threads, each with a connection of its own. */
import { join } from 'node:path';
import type { Config } from '../../../src/shared/config.js';
import { openLmdbStore } from './lmdb-store.js';
import { openRedisStore } from './redis-store.js';
import type { Store, StoreLimits, StoreOptions } from './store.js';

/** A client repeats a message within minutes; a thousand of them is more than a session has open. */
const MAX_MESSAGE_IDS = 1000;

export type StoreConfig = Pick<Config, 'dataDir' | 'store'>;

/** ERR_START when it cannot be used; never another one in its place. Limits are the configuration's unless given. */
export function openStore(
  kind: Store['kind'],
  config: StoreConfig,
  options: Omit<StoreOptions, 'limits'> & { limits?: StoreLimits },
): Promise<Store> {
  const complete = { ...options, limits: options.limits ?? storeLimits(config) };
  return kind === 'redis'
    ? openRedisStore(config.store.redisUrl, complete)
    : openLmdbStore(join(config.dataDir, 'store'), complete);
}

export function storeLimits({ store }: Pick<Config, 'store'>): StoreLimits {
  const { eventLog, timeoutMs } = store;
  return { ...eventLog, timeoutMs, maxMessageIds: MAX_MESSAGE_IDS };
}
