/** Starts that fail: the error, how soon it comes, and that it never contains the password. */
import t from 'tap';
import { RIGHTS_SCRIPT } from '../../../../src/shared/redis-rights.js';
import { openRedisStore } from '../../../../workers/agent/store/redis-store.js';
import { freePort } from '../../../helpers/processes.js';
import { failure, newRedis, openStore, rawClient } from './redis-backend.js';
import { codeOf, LIMITS, newRow, OWNER } from './store-backend.js';

t.test('a Redis that cannot be reached at the start is an error that names it without its password', async (t) => {
  const port = await freePort();
  const started = performance.now();
  const error = await failure(
    openRedisStore(`redis://someone:s3cret-word@127.0.0.1:${port}/2`, { owner: OWNER, limits: LIMITS }),
  );
  t.ok(performance.now() - started < 6000);
  t.equal(error.code, 'ERR_START');
  t.ok(error.message.includes(`redis://127.0.0.1:${port}/2`), error.message);
  for (const url of [
    'redis://a:s3cret-word@:bad',
    's3cret-word',
    'http://a:s3cret-word@127.0.0.1',
    'redis://a:s3cret-word@h/db',
    'redis://a:s3cret%zz@h',
  ]) {
    const bad = await failure(openRedisStore(url, { owner: OWNER, limits: LIMITS }));
    t.equal(bad.code, 'ERR_START');
    t.notOk(`${bad.stack} ${JSON.stringify(bad)} ${String(bad.cause)}`.includes('s3cret'), url);
  }
  t.notOk(`${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`.includes('s3cret'));
});

t.test('a wrong password ends the start at once, the right one works, and neither is in an error', async (t) => {
  const redis = await newRedis(t, ['--requirepass', 's3cret-word']);
  const started = performance.now();
  for (const url of [redis.url, `redis://:s3cret-wrong@127.0.0.1:${redis.port}`]) {
    const error = await failure(openRedisStore(url, { owner: OWNER, limits: LIMITS }));
    t.equal(error.code, 'ERR_START');
    t.notOk(`${error.stack} ${String(error.cause)}`.includes('s3cret'));
  }
  t.ok(performance.now() - started < 2500, 'no retries');
  const store = await openStore(t, `redis://:s3cret-word@127.0.0.1:${redis.port}`, { timeoutMs: 500 });
  await store.ping();
  await redis.kill();
  const error = await failure(store.ping());
  t.equal(error.code, 'ERR_UNAVAILABLE');
  t.notOk(`${error.stack} ${String(error.cause)}`.includes('s3cret'));
});

t.test('a Redis that hangs at the start is ERR_START', async (t) => {
  const redis = await newRedis(t);
  redis.pause();
  t.teardown(() => redis.resume());
  t.equal(await codeOf(openRedisStore(redis.url, { owner: OWNER, limits: LIMITS })), 'ERR_START');
});

t.test('a ping fails for each right that the store has lost, as its writes do, and changes nothing', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const allow = (...rights: string[]): Promise<unknown> => raw.sendCommand(['ACL', 'SETUSER', 'app', ...rights]);
  await allow('on', 'nopass', '~*', '+@all');
  const store = await openStore(t, `redis://app:any@127.0.0.1:${redis.port}`);
  await store.createSession(newRow());
  const changes = async (): Promise<string | undefined> =>
    /rdb_changes_since_last_save:(\d+)/.exec(await raw.info('persistence'))?.[1];
  const before = await changes();
  await store.ping();
  const inScripts = Array.from(RIGHTS_SCRIPT.matchAll(/^try\('(\w+)'/gm), ([, name = '']) => name);
  const tried = [...inScripts, 'EVAL', 'EVALSHA'].filter((name) => name !== 'PING');
  t.ok(tried.length > 20);
  for (const name of tried) {
    await allow(`-${name}`);
    t.match(await failure(store.ping()), { code: 'ERR_UNAVAILABLE', message: /NOPERM|can't run/ }, name);
    await allow('+@all');
  }
  await store.ping();
  t.equal(await changes(), before);
  for (const name of ['hset', 'evalsha']) {
    await allow(`-${name}`);
    t.equal(await codeOf(store.createSession(newRow())), 'ERR_UNAVAILABLE', name);
    await allow('+@all');
  }
});
