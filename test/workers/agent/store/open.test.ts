import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { openStore, storeLimits } from '../../../../workers/agent/store/open.js';
import { freePort } from '../../../helpers/processes.js';
import { startRedis } from '../../../helpers/redis.js';
import { codeOf, newRow, OWNER } from './store-backend.js';

t.test('the embedded store lies in the data folder', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'fl-open-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const store = await openStore('lmdb', parseConfig({}, { FAIRLEAD_DATA: dir }), { owner: OWNER });
  t.teardown(() => store.close());
  t.equal(store.kind, 'lmdb');
  await store.createSession(newRow());
  t.ok(existsSync(join(dir, 'store', 'data.mdb')));
});

t.test('Redis is the configured one, and there is no fallback when it cannot be reached', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const store = await openStore('redis', parseConfig({}, { REDIS_URL: redis.url }), { owner: OWNER });
  t.teardown(() => store.close());
  t.equal(store.kind, 'redis');
  await store.ping();
  const away = parseConfig({}, { REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
  t.equal(await codeOf(openStore('redis', away, { owner: OWNER })), 'ERR_START');
});

t.test('limits come from the configuration', async (t) => {
  const config = parseConfig({ store: { timeoutMs: 7, eventLog: { maxEvents: 8, maxAgeMs: 9, maxBytes: 10 } } }, {});
  t.match(storeLimits(config), { timeoutMs: 7, maxEvents: 8, maxAgeMs: 9, maxBytes: 10 });
  t.match(storeLimits(parseConfig({}, {})), { maxBytes: 4_194_304 });
});
