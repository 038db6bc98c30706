/** The Redis store while Redis hangs, is away, loads, or takes no writes: what callers are told, and what does not land later. */
import { randomBytes } from 'node:crypto';
import { connect, createServer, type AddressInfo } from 'node:net';
import t from 'tap';
import { isFairleadError } from '../../../../src/shared/errors.js';
import { openRedisStore } from '../../../../workers/agent/store/redis-store.js';
import { failure, newRedis, openStore, rawClient } from './redis-backend.js';
import { codeOf, deferred, events, LIMITS, newRow, OWNER, say, until } from './store-backend.js';

t.test('while Redis hangs every method is ERR_UNAVAILABLE within the deadline, and nothing lands later', async (t) => {
  const redis = await newRedis(t);
  const store = await openStore(t, redis.url, { timeoutMs: 300 });
  const row = newRow();
  await store.createSession(row);
  await store.commit(row.session, { events: events(1) });
  redis.pause();
  t.teardown(() => redis.resume());
  const started = performance.now();
  const errors = await Promise.all(
    [
      store.ping(),
      store.createSession(newRow({ session: 'late' })),
      store.readSession(row.session),
      store.listSessions(row.user, { limit: 5 }),
      store.touchSession(row.session, 77_777),
      store.expiredSessions(5, 5),
      store.commit(row.session, { events: events(2, 1, 'late'), messages: [say('late')] }),
      store.readHistory(row.session),
      store.readEvents(row.session, 0, 5),
    ].map(failure),
  );
  const took = performance.now() - started;
  t.ok(took >= 250 && took < 1000, `${took} ms`);
  for (const error of errors) {
    t.ok(isFairleadError(error, 'ERR_UNAVAILABLE'), error.message);
    t.ok((error.retryAfterMs ?? 0) > 0);
  }
  redis.resume();
  await until(async () => (await codeOf(store.ping())) === 'ok');
  t.strictSame(await store.readSession(row.session), { ...row, seq: 1 });
  t.equal(await store.readSession('late'), undefined);
  t.strictSame(await store.commit(row.session, { events: events(2) }), { ok: true });
  t.strictSame(await store.readEvents(row.session, 0, 5), { events: events(1, 2), oldest: 1 });
  t.strictSame(await store.readHistory(row.session), []);
});

t.test('a slow way to Redis lets no write land after its deadline', async (t) => {
  const redis = await newRedis(t);
  let delayMs = 200;
  const proxy = createServer((client) => {
    const server = connect(redis.port, '127.0.0.1');
    server.pipe(client);
    client.on('data', (data) => void setTimeout(() => server.write(data), delayMs));
    client.on('close', () => server.destroy());
    for (const socket of [client, server]) socket.on('error', () => undefined); // a socket that the test has closed
  });
  await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => void proxy.close());
  const { port } = proxy.address() as AddressInfo;
  const store = await openStore(t, `redis://127.0.0.1:${port}`, { timeoutMs: 1_000 });
  await store.createSession(newRow({ session: 'first' })); // Redis has the script from now on
  delayMs = 0;
  redis.pause();
  t.teardown(() => redis.resume());
  const late = await failure(store.createSession(newRow({ session: 'late' })));
  t.ok(isFairleadError(late, 'ERR_UNAVAILABLE'), late.message);
  redis.resume();
  await until(async () => (await codeOf(store.ping())) === 'ok');
  t.equal(await store.readSession('late'), undefined);
  await store.createSession(newRow({ session: 'in-time' }));
  t.match(await store.readSession('in-time'), { session: 'in-time' });
});

t.test('a Redis that was killed and comes back with its data is used again, scripts included', async (t) => {
  const redis = await newRedis(t, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const store = await openStore(t, redis.url, { timeoutMs: 2000 });
  const row = newRow();
  await store.createSession(row);
  await store.commit(row.session, { events: events(1), messages: [say('kept')] });
  await redis.kill();
  const away = await failure(store.readSession(row.session));
  t.equal(away.code, 'ERR_UNAVAILABLE');
  const waiting = store.commit(row.session, { events: events(2), messages: [say('waited')] });
  await redis.restart();
  t.strictSame(await waiting, { ok: true }, 'a command waits for the reconnect within its deadline');
  t.strictSame(await store.readHistory(row.session), [say('kept'), say('waited')]);
});

t.test('a command that waits too long for a reconnect is not sent after it', async (t) => {
  const redis = await newRedis(t, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const store = await openStore(t, redis.url, { timeoutMs: 400 });
  const row = newRow();
  await store.createSession(row);
  await redis.kill();
  const codes = await Promise.all([
    codeOf(store.touchSession(row.session, 5)),
    codeOf(store.deleteSession(row.session)),
    codeOf(store.commit(row.session, { events: events(1) })),
  ]);
  t.strictSame(codes, ['ERR_UNAVAILABLE', 'ERR_UNAVAILABLE', 'ERR_UNAVAILABLE']);
  await redis.restart();
  await until(async () => (await codeOf(store.ping())) === 'ok');
  t.strictSame(await store.readSession(row.session), row);
});

t.test('transient errors that last until the deadline are ERR_UNAVAILABLE: out of memory, read only', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const store = await openStore(t, redis.url, { timeoutMs: 300 });
  const row = newRow();
  await store.createSession(row);
  await store.commit(row.session, { events: events(1), messages: [say('kept')] });
  await raw.configSet('maxmemory', '1');
  const commit = { events: events(2), messages: [say('lost')], clearHistory: true, row: { title: 'lost' } };
  t.equal(await codeOf(store.commit(row.session, commit)), 'ERR_UNAVAILABLE');
  t.equal(await codeOf(store.commit(row.session, { events: [], clearHistory: true })), 'ERR_UNAVAILABLE');
  t.equal(await codeOf(store.createSession(newRow())), 'ERR_UNAVAILABLE');
  t.strictSame(await store.readSession(row.session), { ...row, seq: 1 }, 'reading goes on, nothing was half written');
  t.strictSame(await store.readHistory(row.session), [say('kept')]);
  await store.deleteSession('nobody');
  await raw.configSet('maxmemory', '0');
  t.strictSame(await store.commit(row.session, { events: events(2) }), { ok: true });

  await raw.replicaOf('127.0.0.1', 1);
  t.equal(await codeOf(store.commit(row.session, { events: events(3) })), 'ERR_UNAVAILABLE');
  await raw.sendCommand(['REPLICAOF', 'NO', 'ONE']);
  t.strictSame(await store.commit(row.session, { events: events(3) }), { ok: true });
});

t.test(
  'while Redis loads its data the start fails in time, a running store waits for it, says ERR_UNAVAILABLE at its deadline, and then goes on',
  async (t) => {
    const redis = await newRedis(t, ['--key-load-delay', '60000', '--loading-process-events-interval-bytes', '1024']);
    const raw = await rawClient(t, redis.url);
    const [store, patient] = [
      await openStore(t, redis.url, { timeoutMs: 500 }),
      await openStore(t, redis.url, { timeoutMs: 60_000 }),
    ];
    const row = newRow();
    await store.createSession(row);
    for (let i = 0; i < 90; i++) await raw.set(`filler-${i}`, randomBytes(1500).toString('base64'));
    await raw.sendCommand(['SAVE']);
    await redis.kill();
    const loaded = redis.restart();
    let seen = '';
    await until(async () => {
      seen = await failure(store.ping()).then(
        ({ message }) => message,
        () => seen,
      );
      return seen.includes('LOADING');
    });
    t.equal(await codeOf(openRedisStore(redis.url, { owner: OWNER, limits: LIMITS })), 'ERR_START');
    const overtaken = codeOf(patient.readSession(row.session));
    const commit = patient.commit(row.session, { events: [], row: { title: 'loaded' } });
    const read = patient.readSession(row.session);
    t.equal(await codeOf(store.readSession(row.session)), 'ERR_UNAVAILABLE');
    await loaded;
    t.strictSame(await commit, { ok: true });
    t.equal(await overtaken, 'ERR_UNAVAILABLE', 'a read that would see a later commit is given up');
    t.match(await read, { session: row.session });
    row.title = 'loaded';
    t.strictSame(await store.readSession(row.session), row);
  },
);

t.test('a half-open connection is cut and replaced', async (t) => {
  const redis = await newRedis(t);
  const wasCut = deferred<Error>();
  const store = await openStore(t, redis.url, {
    timeoutMs: 400,
    onError: (operation, error) => {
      if (operation === 'connection') wasCut.resolve(error as Error);
    },
  });
  redis.pause();
  t.teardown(() => redis.resume());
  t.match((await wasCut.promise).message, /timeout/i);
  redis.resume();
  await until(async () => (await codeOf(store.ping())) === 'ok');
  t.equal(await store.readSession('nobody'), undefined);
});
