import { RESP_TYPES } from 'redis';
import t from 'tap';
import { contentBytes, mergeBlocks } from '../../../../workers/agent/store/history-codec.js';
import { SEAL, TAIL } from '../../../../workers/agent/store/redis-scripts.js';
import { openRedisStore } from '../../../../workers/agent/store/redis-store.js';
import { newRedis, openStore, rawClient } from './redis-backend.js';
import { codeOf, events, LIMITS, newRow, OWNER, say, type Backend } from './store-backend.js';
import { storeSuite } from './store-suite.js';

t.test('the contract of a store, on Redis', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const backend: Backend = {
    async open(t, { limits, ...options } = {}) {
      const store = await openRedisStore(redis.url, { owner: OWNER, ...options, limits: { ...LIMITS, ...limits } });
      t.teardown(() => store.close());
      return store;
    },
    async traces(name) {
      const keys = await raw.keys('*');
      const members = await Promise.all(
        keys.filter((key) => /^fairlead:(sessions$|user:|due:)/.test(key)).map((key) => raw.zRange(key, 0, -1)),
      );
      return [...keys, ...members.flat()].filter((text) => text.includes(name));
    },
    historyEntries: (session) => raw.lLen(`fairlead:{${session}}:history`),
    logBytes: async (session) => Number(await raw.hGet(`fairlead:{${session}}:row`, 'logBytes')),
  };
  storeSuite(t, backend);
});

t.test('all keys of a session lie in one slot, and its log is a stream whose ids are the seqs', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const store = await openStore(t, redis.url);
  const { session, user } = newRow();
  await store.createSession(newRow({ session, user }));
  await store.commit(session, { events: events(1, 2), messages: [say('a')], accept: { id: 'm', turn: 1 } });
  const prefix = `fairlead:{${session}}:`;
  t.strictSame(
    (await raw.keys('*')).toSorted(),
    [
      'fairlead:sessions',
      'fairlead:users',
      `fairlead:user:${user}`,
      ...['events', 'history', 'ids', 'row'].map((name) => prefix + name),
    ].toSorted(),
  );
  t.strictSame(
    ((await raw.xRange(`${prefix}events`, '-', '+')) ?? []).map((entry) => entry.id),
    ['1-0', '2-0'],
  );
});

t.test('a commit is one command on the wire', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const store = await openStore(t, redis.url);
  const row = newRow();
  await store.createSession(row);
  await store.commit(row.session, { events: events(1) });
  await raw.configResetStat();
  await store.commit(row.session, { events: events(2), messages: [say('a')], row: { turns: 1 } });
  const calls = (await raw.info('commandstats')).match(/cmdstat_(evalsha|eval|hset|zadd|multi)[^,]*/g);
  t.ok(calls?.includes('cmdstat_evalsha:calls=1'), String(calls));
  t.notOk(
    calls?.some((line) => /zadd|multi|cmdstat_eval:/.test(line)),
    String(calls),
  );
});

t.test('a read comes before later writes, also when Redis does not know its script yet', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const store = await openStore(t, redis.url);
  const { session } = newRow();
  await store.createSession(newRow({ session }));
  await store.commit(session, { events: events(1) });
  await raw.scriptFlush();
  const [found] = await Promise.all([store.readEvents(session, 0, 10), store.commit(session, { events: events(2) })]);
  t.strictSame(
    found.events.map(({ seq }) => seq),
    [1],
  );
});

t.test('a wake-up costs a commit one more command, sent with it', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const store = await openStore(t, redis.url);
  const { session } = newRow();
  await store.createSession(newRow({ session }));
  await store.commit(session, { events: events(1) });
  await raw.configResetStat();
  await store.commit(session, { events: events(2), wakeAt: Infinity });
  t.strictSame(await raw.zRangeWithScores(`fairlead:due:${OWNER}`, 0, -1), [{ value: session, score: Infinity }]);
  await store.commit(session, { events: events(3), wakeAt: null });
  t.strictSame(await store.sessionsToWake(Infinity), []);
  const stats = await raw.info('commandstats');
  for (const [name, calls] of [
    ['evalsha', 2],
    ['zadd', 1],
    ['zrem', 1],
  ]) {
    t.ok(stats.includes(`cmdstat_${name}:calls=${calls},`), `${name}: ${stats}`);
  }
});

t.test('a session that an earlier version stored is read, taken over and continued', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const store = await openStore(t, redis.url);
  const row = newRow();
  const key = `fairlead:{${row.session}}:row`;
  await store.createSession(row);
  await store.commit(row.session, { events: events(1, 3) });
  await raw.hDel(key, ['owner', 'context', 'commit', 'logBytes', 'due']);
  const old = { ...row, seq: 3, owner: '', context: null };
  t.strictSame(await store.readSession(row.session), old);
  t.equal(await codeOf(store.commit(row.session, { events: events(4) })), 'ERR_STORE_CONFLICT');
  t.strictSame(await store.takeOver(row.session), { ...old, owner: OWNER });
  t.strictSame(await store.commit(row.session, { events: events(4) }), { ok: true });
  const log = (await store.readEvents(row.session, 0, 10)).events.map(({ json }) => json);
  t.equal(await raw.hGet(key, 'logBytes'), String(Buffer.byteLength(log.join(''))));
});

t.test('a log past its row is a conflict that writes nothing', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const store = await openStore(t, redis.url);
  const row = newRow();
  await store.createSession(row);
  await raw.xAdd(`fairlead:{${row.session}}:events`, '5-0', { t: '1', e: '{}' });
  t.equal(
    await codeOf(store.commit(row.session, { events: events(1), messages: [say('lost')] })),
    'ERR_STORE_CONFLICT',
  );
  t.strictSame(await store.readSession(row.session), row);
  t.strictSame(await store.readHistory(row.session), []);
});

t.test('reading repairs index entries that a crash has left wrong', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const store = await openStore(t, redis.url);
  const row = newRow({ lastActiveAt: 900_000 });
  await store.createSession(row);
  await raw.zAdd('fairlead:sessions', [
    { score: 5, value: row.session },
    { score: 6, value: 'orphan' },
  ]);
  await raw.zAdd(`fairlead:user:${row.user}`, [{ score: 6, value: 'orphan' }]);
  t.strictSame(await store.expiredSessions(800_000, 10), ['orphan'], 'an active one is not given away');
  t.equal(await raw.zScore('fairlead:sessions', row.session), 900_000);
  t.strictSame((await store.listSessions(row.user, { limit: 10 })).sessions, [row]);
  t.equal(await raw.zScore(`fairlead:user:${row.user}`, 'orphan'), null);
  await store.deleteSession('orphan');
  t.equal(await raw.zScore('fairlead:sessions', 'orphan'), null);
});

t.test('a damaged block is ERR_HISTORY_CORRUPT', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const store = await openStore(t, redis.url);
  const row = newRow();
  await store.createSession(row);
  await store.commit(row.session, { events: events(1), messages: [say('a')] });
  await raw.rPush(`fairlead:{${row.session}}:history`, 'not a block');
  t.equal(await codeOf(store.readHistory(row.session)), 'ERR_HISTORY_CORRUPT');
});

t.test('a seal keeps blocks that were appended since it read the tail, and gives up after a clear', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const binary = raw.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const store = await openStore(t, redis.url);
  const { session } = newRow();
  await store.createSession(newRow({ session }));
  const keys = ['2', `fairlead:{${session}}:row`, `fairlead:{${session}}:history`];
  type Tail = [number, number, number, ...Buffer[]];
  const readTail = (): Promise<Tail> => binary.sendCommand<Tail>(['EVAL', TAIL.lua, ...keys]);
  const seal = async ([generation, length, bytes, ...blocks]: Tail): Promise<string | undefined> => {
    const numbers = ['9999999999999', ...[generation, length, bytes, blocks.length, 0, 0].map(String)];
    const [outcome] = await raw.sendCommand<[string]>(['EVAL', SEAL.lua, ...keys, ...numbers, mergeBlocks(blocks)]);
    return outcome;
  };
  const add = (text: string) => store.commit(session, { events: [], messages: [say(text)] });

  for (const text of ['a', 'b']) await add(text);
  const first = await readTail();
  await add('c');
  t.equal(await seal(first), 'ok');
  t.strictSame(
    await store.readHistory(session),
    ['a', 'b', 'c'].map((text) => say(text)),
  );
  t.equal(await raw.lLen(`fairlead:{${session}}:history`), 2);
  const second = await readTail();
  t.equal(second.length, 4, 'only what was appended is unsealed');
  t.equal(second[2], contentBytes(second[3] as Buffer), 'and its bytes are counted right');
  t.equal(await seal(first), 'changed', 'a seal counts as a change');

  await store.commit(session, { events: [], clearHistory: true });
  for (const text of ['d', 'e', 'f']) await add(text);
  t.equal(await seal(second), 'changed', 'also when the list is as long again');
  t.strictSame(
    await store.readHistory(session),
    ['d', 'e', 'f'].map((text) => say(text)),
  );
});

t.test('counts that lie in the future, since Redis’s clock was set back, lock nobody out', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const counting = { turns: true, history: true, turnLeaseMs: 60_000 };
  const store = await openRedisStore(redis.url, { owner: OWNER, limits: LIMITS, counting });
  t.teardown(() => store.close());
  const row = newRow({ user: 'ann' });
  await store.createSession(row);
  const soon = Date.now() + 3_600_000;
  await raw.zAdd('fairlead:quota-turns:ann', { score: soon, value: 'another:1' });
  await raw.rPush('fairlead:quota-messages:ann', String(soon));
  await raw.zAdd('fairlead:quota-sandboxes:ann', { score: soon, value: 'another workspace' });
  const accepts = { maxTurns: 1, maxMessagesPerMinute: 1, maxHistoryBytes: 0, bytes: 1 };
  const commit = { events: [], row: { openTurns: [{ turn: 1 }] }, count: { user: 'ann', accepts } };
  t.strictSame(await store.commit(row.session, commit), { ok: true });
  const claim = { user: 'ann', session: row.session, server: 'workspace' };
  t.equal(await store.counters.claimSandbox(claim, { maxSandboxes: 1, maxWorkspaceBytes: 0 }), undefined);
});
