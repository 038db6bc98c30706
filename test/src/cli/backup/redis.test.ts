import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from 'redis';
import t, { type Test } from 'tap';
import { openDataDir, UNFINISHED_RESTORE } from '../../../../src/boot/data-dir.js';
import { openRedisStore } from '../../../../workers/agent/store/redis-store.js';
import { startRedis, type TestRedis } from '../../../helpers/redis.js';
import { events, LIMITS, newRow, OWNER, say } from '../../../workers/agent/store/store-backend.js';
import { appears, fairlead, INSTANCE, makeData, start, tempDir } from './backup-kit.js';

t.setTimeout(600_000);

async function redisOf(t: Test, args: string[] = []): Promise<TestRedis> {
  const redis = await startRedis({ args });
  t.teardown(() => redis.stop());
  return redis;
}

async function raw(t: Test, redis: TestRedis) {
  const client = createClient({ url: redis.url });
  client.on('error', () => undefined); // a command that fails tells
  await client.connect();
  t.teardown(() => client.destroy());
  return client;
}

async function storeOf(t: Test, redis: TestRedis) {
  const store = await openRedisStore(redis.url, { owner: OWNER, limits: LIMITS });
  t.teardown(() => store.close());
  return store;
}

async function data(t: Test): Promise<string> {
  const { dataDir } = await makeData(t);
  await rm(join(dataDir, 'store'), { recursive: true });
  return dataDir;
}

const on = (redis: TestRedis): Record<string, string> => ({ REDIS_URL: redis.url });
const ALL_USERS = { limit: 100 };
const longText = (n: number): string => `${n}${'x'.repeat(1_000)}`.repeat(100);

t.test('sessions, secrets, credentials and what they have left to live come back in another Redis', async (t) => {
  const [from, to] = [await redisOf(t), await redisOf(t)];
  const store = await storeOf(t, from);
  const rows = Array.from({ length: 20 }, () => newRow({ user: 'ada' }));
  for (const row of rows) {
    await store.createSession(row);
    await store.commit(row.session, { events: events(1, 3), messages: [say('remember me')], wakeAt: 5_000 });
  }
  await store.writeSecret('login', Buffer.from('sealed'), { ttlMs: 3_600_000 });
  await store.credentials.write('token:1', { value: '{"user":"ada"}' });
  const keys = await raw(t, from);
  await keys.set('somebody else’s', 'x');
  await keys.zAdd('fairlead:quota-servers', { score: Date.now(), value: 'gone#1' });
  const dataDir = await data(t);
  const file = join(tempDir(t), 'b.tar.gz');
  t.match(await fairlead(dataDir, ['backup', file], on(from)), { code: 0, stderr: '' });
  t.match(await fairlead(dataDir, ['backup', 'verify', file]), { code: 0, stdout: /keys of Redis/ });

  const target = join(tempDir(t), 'new');
  t.match(await fairlead(target, ['restore', file], on(to)), { code: 0, stderr: '' });
  const [before, after] = [await raw(t, from), await raw(t, to)];
  const names = async (client: typeof before): Promise<string[]> => (await client.keys('*')).sort();
  const others = new Set(['somebody else’s', 'fairlead:quota-servers']);
  t.same(
    await names(after),
    (await names(before)).filter((name) => !others.has(name)),
  );
  const there = await storeOf(t, to);
  t.equal((await there.listSessions('ada', ALL_USERS)).sessions.length, 20);
  t.same((await there.sessionsToWake(10_000)).sort(), rows.map(({ session }) => session).sort());
  for (const { session } of rows) {
    t.same(await there.readHistory(session), [say('remember me')]);
    t.equal((await there.readEvents(session, 0, 10)).events.length, 3);
  }
  t.equal((await there.readSecret('login'))?.bytes.toString(), 'sealed');
  const ttl = await after.pTTL('fairlead:secret:login');
  t.ok(ttl > 3_000_000 && ttl <= 3_600_000, `${ttl} ms are left`);
  t.equal((await there.credentials.changes(0, 10)).entries.length, 1);
});

t.test('a session that an index lacks, since it was made meanwhile, is in it after the restore', async (t) => {
  const [from, to] = [await redisOf(t), await redisOf(t)];
  const store = await storeOf(t, from);
  const row = newRow({ user: 'ada' });
  await store.createSession(row);
  await store.commit(row.session, { events: events(1), wakeAt: 5_000 });
  const client = await raw(t, from);
  await client.del(['fairlead:sessions', 'fairlead:user:ada', `fairlead:due:${OWNER}`]);
  const file = join(tempDir(t), 'b.tar.gz');
  t.match(await fairlead(await data(t), ['backup', file], on(from)), { code: 0 });
  t.match(await fairlead(join(tempDir(t), 'new'), ['restore', file], on(to)), { code: 0 });
  const there = await storeOf(t, to);
  t.equal((await there.listSessions('ada', ALL_USERS)).sessions[0]?.session, row.session);
  t.equal((await there.listSessions(undefined, ALL_USERS)).sessions.length, 1);
  t.same(await there.sessionsToWake(10_000), [row.session]);
});

t.test('sums of a user that were copied at another moment than the sessions fit them after the restore', async (t) => {
  const [from, to] = [await redisOf(t), await redisOf(t)];
  const store = await storeOf(t, from);
  const client = await raw(t, from);
  for (let n = 0; n < 3; n++) {
    const row = newRow({ user: 'ada' });
    await store.createSession(row);
    await client.hSet(`fairlead:{${row.session}}:row`, { counted: '100', 'saved:workspace': '7', 'saved:notes': '3' });
  }
  await client.hSet('fairlead:quota:ada', { history: '555', saved: '-3', complete: '1' });
  await store.createSession(newRow({ user: 'bob' }));
  const file = join(tempDir(t), 'b.tar.gz');
  t.match(await fairlead(await data(t), ['backup', file], on(from)), { code: 0 });
  t.match(await fairlead(join(tempDir(t), 'new'), ['restore', file], on(to)), { code: 0 });
  const there = await raw(t, to);
  t.match({ ...(await there.hGetAll('fairlead:quota:ada')) }, { history: '300', saved: '30', complete: '1' });
  t.equal(await there.exists('fairlead:quota:bob'), 0, 'where nothing was counted, nothing is');
});

t.test('a Redis with conversations needs --force, and those are in a file that restores them', async (t) => {
  const redis = await redisOf(t);
  const store = await storeOf(t, redis);
  const [first, second] = [newRow(), newRow()];
  await store.createSession(first);
  const dataDir = await data(t);
  const file = join(tempDir(t), 'b.tar.gz');
  t.match(await fairlead(dataDir, ['backup', file], on(redis)), { code: 0 });
  await store.createSession(second);
  const target = join(tempDir(t), 'new');
  t.match(await fairlead(target, ['restore', file], on(redis)), { code: 1, stderr: /has conversations already/ });
  t.ok(await store.readSession(second.session));
  t.match(await fairlead(target, ['restore', '--force', file], on(redis)), { code: 0 });
  t.ok(await store.readSession(first.session));
  t.equal(await store.readSession(second.session), undefined);
  const aside = readdirSync(target).find((name) => name.startsWith('before-restore-')) ?? '';
  const old = join(target, aside, 'redis.tar.gz');
  t.match(await fairlead(target, ['restore', '--force', old], on(redis)), { code: 0 });
  t.ok(await store.readSession(second.session));
  t.match(
    await fairlead(target, ['restore', '--force', '--no-store', file]),
    { code: 0 },
    'or the store is left alone',
  );
});

t.test('a Redis that other servers use is not restored into', async (t) => {
  const redis = await redisOf(t);
  const store = await storeOf(t, redis);
  await store.createSession(newRow());
  const dataDir = await data(t);
  const file = join(tempDir(t), 'b.tar.gz');
  t.match(await fairlead(dataDir, ['backup', file], on(redis)), { code: 0 });
  await store.counters.renewSockets(`${INSTANCE}#1`, []);
  t.match(await fairlead(dataDir, ['restore', '--force', file], on(redis)), { code: 0 }, 'its own last run is over');
  await store.counters.renewSockets('fedcba9876543210#1', []);
  const refused = await fairlead(dataDir, ['restore', '--force', file], on(redis));
  t.match(refused, { code: 1, stderr: /used by other servers \(fedcba9876543210\): stop them/ });
});

t.test('a store of another kind than the configuration names is told, and so is a right that is missing', async (t) => {
  const redis = await redisOf(t);
  const store = await storeOf(t, redis);
  await store.createSession(newRow());
  const dataDir = await data(t);
  const file = join(tempDir(t), 'b.tar.gz');
  t.match(await fairlead(dataDir, ['backup', file], on(redis)), { code: 0 });
  const target = join(tempDir(t), 'new');
  const refused = { code: 1, stderr: /are of Redis, and the configuration names the embedded store/ };
  t.match(await fairlead(target, ['restore', file]), refused);
  const client = await raw(t, redis);
  await client.sendCommand(['ACL', 'SETUSER', 'app', 'on', '>pw', '~fairlead:*', '+@all', '-dump', '-restore']);
  const url = { REDIS_URL: `redis://app:pw@127.0.0.1:${redis.port}` };
  const other = join(tempDir(t), 'c.tar.gz');
  t.match(await fairlead(dataDir, ['backup', other], url), { code: 1, stderr: /allow it with .*\+scan \+dump/ });
  t.notOk(existsSync(other));
  t.match(await fairlead(target, ['restore', '--force', file], url), { code: 1, stderr: /allow it with / });
  t.equal((await store.listSessions(undefined, ALL_USERS)).sessions.length, 1, 'what was there is there');
  await client.sendCommand(['ACL', 'SETUSER', 'app', '+dump', '+restore']);
  t.match(await fairlead(dataDir, ['backup', other], url), { code: 0 }, 'no key but ours is needed');
  t.match(await fairlead(target, ['restore', '--force', file], url), { code: 0 });
});

t.test('a Redis that is full in the middle has its old keys again', async (t) => {
  const [from, to] = [await redisOf(t), await redisOf(t, ['--maxmemory-policy', 'noeviction'])];
  const store = await storeOf(t, from);
  for (let n = 0; n < 100; n++) {
    const row = newRow();
    await store.createSession(row);
    const many = Array.from({ length: 10 }, (_, i) => ({ seq: i + 1, json: JSON.stringify(longText(n * 100 + i)) }));
    await store.commit(row.session, { events: many });
  }
  const file = join(tempDir(t), 'b.tar.gz');
  const dataDir = await data(t);
  t.match(await fairlead(dataDir, ['backup', file], on(from)), { code: 0 });
  const small = await storeOf(t, to);
  const row = newRow();
  await small.createSession(row);
  const client = await raw(t, to);
  await client.configSet('maxmemory', '20mb');
  const target = join(tempDir(t), 'new');
  t.match(await fairlead(target, ['restore', '--force', file], on(to)), { code: 1, stderr: /OOM/ });
  t.ok(await small.readSession(row.session));
  t.equal((await small.listSessions(undefined, ALL_USERS)).sessions.length, 1);
  t.notOk(existsSync(join(target, UNFINISHED_RESTORE)));
});

t.test('a restore that is killed while Redis is filled is known, and the next one completes it', async (t) => {
  const [from, to] = [await redisOf(t), await redisOf(t)];
  const store = await storeOf(t, from);
  const rows = Array.from({ length: 20 }, () => newRow());
  for (const row of rows) await store.createSession(row);
  const file = join(tempDir(t), 'b.tar.gz');
  const dataDir = await data(t);
  t.match(await fairlead(dataDir, ['backup', file], on(from)), { code: 0 });
  const target = join(tempDir(t), 'new');
  await mkdir(target, { mode: 0o700 });
  const there = await raw(t, to);
  await there.sendCommand(['CLIENT', 'PAUSE', '600000', 'WRITE']);
  const noted = appears(target, UNFINISHED_RESTORE);
  const run = start(target, ['restore', file], on(to));
  await noted;
  run.kill();
  t.match(await run.ended, { signal: 'SIGKILL' });
  await there.sendCommand(['CLIENT', 'UNPAUSE']);
  await there.set('fairlead:{half}:row', 'a half of something');
  await t.rejects(openDataDir(target), { code: 'ERR_START', message: /was cut off/ });
  t.match(await fairlead(target, ['restore', file], on(to)), { code: 0 });
  (await openDataDir(target)).release();
  t.equal(await there.zCard('fairlead:sessions'), rows.length);
  t.equal(await there.exists('fairlead:{half}:row'), 0);
});
