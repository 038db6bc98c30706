/** What a real Redis that cannot be the store is told to be: a replica, a Cluster, a Sentinel, one with an ACL, one that is full. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from 'redis';
import t, { type Test } from 'tap';
import { probeRedis, type RedisAnswer } from '../../../src/shared/redis-probe.js';
import { RIGHTS_SCRIPT } from '../../../src/shared/redis-rights.js';
import { eachLine, freePort, stopChild, watchExit } from '../../helpers/processes.js';
import { startRedis, type TestRedis } from '../../helpers/redis.js';

const STORE = fileURLToPath(new URL('../../../../workers/agent/store/', import.meta.url));

function ask(url: string): Promise<RedisAnswer> {
  return probeRedis(url, new AbortController().signal);
}

async function redisOf(t: Test, ...args: string[]): Promise<TestRedis> {
  const redis = await startRedis({ args });
  t.teardown(() => redis.stop());
  return redis;
}

async function tell(t: Test, { url }: TestRedis, ...commands: string[][]): Promise<unknown[]> {
  const client = createClient({ url });
  await client.connect();
  t.teardown(() => client.destroy());
  const answers: unknown[] = [];
  for (const command of commands) answers.push(await client.sendCommand(command));
  return answers;
}

t.test('a Redis that can be the store is usable, and keeps nothing of the question', async (t) => {
  const redis = await redisOf(t);
  t.match(await ask(redis.url), { state: 'usable', version: /^\d+\.\d+/ });
  t.same(await tell(t, redis, ['KEYS', '*']), [[]]);
});

t.test('a replica is refused, until it is the primary', async (t) => {
  const primary = await redisOf(t);
  const replica = await redisOf(t, '--replicaof', '127.0.0.1', String(primary.port));
  t.match(await ask(replica.url), { state: 'unfit', what: /read-only replica/, todo: /primary.*REDIS_URL/ });
  await tell(t, replica, ['REPLICAOF', 'NO', 'ONE']);
  t.match(await ask(replica.url), { state: 'usable' });
});

t.test('a full Redis is waited for, in its own words', async (t) => {
  const redis = await redisOf(t, '--maxmemory', '1');
  t.match(await ask(redis.url), { state: 'away', what: /takes no writes \(OOM/, todo: /memory/ });
});

t.test('a node of a Cluster is none', async (t) => {
  const redis = await redisOf(t, '--cluster-enabled', 'yes');
  t.match(await ask(redis.url), { state: 'unfit', what: /one node of a Redis Cluster/, todo: /cluster-enabled no/ });
});

t.test('a Sentinel is none, and says who knows the primary', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-sentinel-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const file = join(folder, 'sentinel.conf');
  await writeFile(file, `port ${port}\nbind 127.0.0.1\ndir ${folder}\n`);
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = watchExit(child);
  t.teardown(() => stopChild(child, exited));
  await new Promise<void>((resolve) => eachLine(child.stdout, (line) => /Sentinel ID/.test(line) && resolve()));
  const answer = await ask(`redis://127.0.0.1:${port}/0`);
  t.match(answer, { state: 'unfit', what: /is a Sentinel/, todo: /GET-MASTER-ADDR-BY-NAME/ });
  t.match(await ask(`redis://127.0.0.1:${port}/2`), { state: 'unfit' }, 'also where a database is named');
});

t.test('an ACL that lacks commands or keys is told with their names and what allows them', async (t) => {
  const redis = await redisOf(t);
  const url = `redis://app:s3cret@127.0.0.1:${redis.port}`;
  const allow = (...rights: string[]): Promise<unknown> =>
    tell(t, redis, ['ACL', 'SETUSER', 'app', 'reset', 'on', '>s3cret', ...rights]);
  await allow('~fairlead:*', '+@all', '-xadd', '-pexpire');
  const answer = await ask(url);
  t.match(answer, { state: 'unfit', what: /needs: PEXPIRE, XADD /, todo: /ACL SETUSER .* \+pexpire \+xadd/ });
  for (const command of ['eval', 'evalsha', 'ping', 'hset', 'zrange', 'unlink']) {
    await allow('~fairlead:*', '+@all', `-${command}`);
    t.match(await ask(url), { state: 'unfit', what: new RegExp(command, 'i') }, command);
  }
  await allow('~other:*', '+@all');
  t.match(await ask(url), { state: 'unfit', what: /store's keys/, todo: /~fairlead:\*`$/ }, 'no command');
  t.match(await ask(url.replace('s3cret', 's3cret-no')), { state: 'unfit', what: /does not let us in/ });
  t.notMatch(JSON.stringify([answer, await ask(url)]), 's3cret');
  await allow('~fairlead:*', '+@read', '+@write', '+@connection', '+@scripting', '+time');
  t.match(await ask(url), { state: 'usable' });
  t.same(await tell(t, redis, ['KEYS', '*']), [[]]);
});

t.test('one that nobody serves, and one that is silent, is away', async (t) => {
  t.match(await ask(`redis://127.0.0.1:${await freePort()}`), {
    state: 'away',
    what: /does not answer \(ECONNREFUSED\)/,
  });
  const redis = await redisOf(t);
  redis.pause();
  t.teardown(() => redis.resume());
  t.match(await ask(redis.url), { state: 'away', what: /no answer within/ });
});

t.test('a plain Redis behind rediss:// is told that it may not speak TLS, and one that is away is not', async (t) => {
  const redis = await redisOf(t);
  t.match(await ask(redis.url.replace('redis:', 'rediss:')), { state: 'away', todo: /redis:\/\/ in place of rediss:/ });
  const away = await ask(`rediss://127.0.0.1:${await freePort()}`);
  t.match(away, { state: 'away', todo: /^start it/ });
});

t.test('a Redis that drops keys when it is full is usable, and says so where its user may ask', async (t) => {
  const redis = await redisOf(t, '--maxmemory-policy', 'volatile-lru');
  t.match(await ask(redis.url), { state: 'usable', evicts: 'volatile-lru' });
  await tell(t, redis, ['ACL', 'SETUSER', 'app', 'on', 'nopass', '~*', '+@all', '-info']);
  const answer = await ask(`redis://app:any@127.0.0.1:${redis.port}`);
  t.match(answer, { state: 'usable', evicts: undefined });
});

t.test('all commands of the store are tried', async (t) => {
  const used = new Set<string>();
  for (const name of (await readdir(STORE)).filter((file) => file.startsWith('redis-'))) {
    const text = await readFile(join(STORE, name), 'utf8');
    for (const [, command = ''] of text.matchAll(/redis\.p?call\('([A-Z]+)'/g)) used.add(command);
    for (const [, command = ''] of text.matchAll(/\[\s*'([A-Z]{3,})'/g)) used.add(command);
  }
  for (const direct of ['', 'EVAL', 'EVALSHA']) used.delete(direct);
  t.ok(used.size > 15, [...used].join(' '));
  for (const command of used) t.match(RIGHTS_SCRIPT, `'${command}'`, command);
});
