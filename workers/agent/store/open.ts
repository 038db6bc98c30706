/** Opens the store that the boot has chosen. Agent threads, each with a connection of its own. */
import { join } from 'node:path';
import type { Config } from '../../../src/shared/config.js';
import { openLmdbStore } from './lmdb-store.js';
import { openRedisStore } from './redis-store.js';
import type { Store, StoreLimits, StoreOptions } from './store.js';

/** Enough to recognise a repeated message: a client repeats it within minutes, and no session gets a thousand by then. */
const MAX_MESSAGE_IDS = 1000;

export type StoreConfig = Pick<Config, 'dataDir' | 'store'>;

/** ERR_START when the store cannot be used; there is no fallback to the other kind. `limits` default to the configuration's. */
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
