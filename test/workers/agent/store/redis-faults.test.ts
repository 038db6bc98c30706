/** What happens to commits and reads when a real Redis is down, slow, full, or loses a reply. */
import { rm } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { keysLeft } from '../../../chaos/keys-left.js';
import type { Store } from '../../../../workers/agent/store/store.js';
import { CutProxy, type Cut } from './cut-proxy.js';
import { newRedis, openStore, rawClient } from './redis-backend.js';
import { codeOf, events, newSession, say, until } from './store-backend.js';

/** Longer than any fault in these tests. */
const PATIENT_MS = 60_000;

type Raw = Awaited<ReturnType<typeof rawClient>>;

function openPatient(t: Test, url: string, options: { timeoutMs?: number; owner?: string } = {}): Promise<Store> {
  return openStore(t, url, { timeoutMs: PATIENT_MS, maxEvents: 100_000, ...options });
}

/** How often Redis has answered with this error so far. */
async function refusals(raw: Raw, word: string): Promise<number> {
  return Number(new RegExp(`errorstat_${word}:count=(\\d+)`).exec(await raw.info('errorstats'))?.[1] ?? 0);
}

/** The session holds exactly these commits: seqs without gap or repeat, each message once and in order. */
async function holds(t: Test, store: Store, session: string, count: number): Promise<void> {
  const found = await store.readEvents(session, 0, 100_000);
  t.strictSame(
    found.events.map(({ seq }) => seq),
    Array.from({ length: count }, (_, i) => i + 1),
  );
  t.strictSame(
    await store.readHistory(session),
    Array.from({ length: count }, (_, i) => say(`message ${i + 1}`)),
  );
  t.match(await store.readSession(session), { seq: count, turns: count });
}

function step(seq: number) {
  return {
    events: events(seq),
    messages: [say(`message ${seq}`)],
    row: { turns: seq, lastActiveAt: 1_000 + seq },
    accept: { id: `id-${seq}`, turn: seq },
    wakeAt: seq % 2 === 0 ? null : Infinity,
  };
}

for (const cut of ['before', 'after'] as Cut[]) {
  const what = cut === 'before' ? 'never arrived' : 'landed and whose answer was lost';

  t.test(`a credential whose write ${what} is written once, and so is its removal`, async (t) => {
    const redis = await newRedis(t);
    const proxy = await CutProxy.start(t, redis.port);
    const { credentials: table } = await openPatient(t, proxy.url);
    const writing = proxy.arm(cut, 'token:one');
    t.equal(await table.write('token:one', { value: 'value', ifAbsent: true }), 'written');
    await writing;
    const removing = proxy.arm(cut, 'token:one');
    t.equal(await table.remove('token:one'), true);
    await removing;
    const { entries } = await table.changes(0, 10);
    t.match(entries, [{ key: 'token:one', value: undefined }]);
    t.equal(proxy.cuts, 2);
  });

  t.test(`a commit that ${what} is done once, and so are the creation and the take of a session`, async (t) => {
    const redis = await newRedis(t);
    const proxy = await CutProxy.start(t, redis.port);
    const store = await openPatient(t, proxy.url);
    const { session } = await newSession(store);
    await store.commit(session, step(1));
    for (let seq = 2; seq <= 6; seq++) {
      const wasCut = proxy.arm(cut, `id-${seq}`);
      t.strictSame(await store.commit(session, step(seq)), { ok: true });
      await wasCut;
    }
    await holds(t, store, session, 6);
    t.strictSame(await store.sessionsToWake(Infinity), []);
    t.strictSame(await store.commit(session, { ...step(7), accept: { id: 'id-4', turn: 9 } }), {
      ok: false,
      duplicateOf: 4,
    });
    t.strictSame(await store.commit(session, step(7)), { ok: true });

    const creating = proxy.arm(cut, 'createdAt');
    const made = await newSession(store);
    await creating;
    t.strictSame(await store.readSession(made.session), made);
    const other = await openPatient(t, proxy.url, { owner: 'server-2' });
    const taking = proxy.arm(cut, 'server-2');
    t.match(await other.takeOver(session), { seq: 7, owner: 'server-2' });
    await taking;
    t.strictSame(await other.sessionsToWake(Infinity), [session], 'woken as before');
    t.equal(await codeOf(store.commit(session, step(8))), 'ERR_STORE_CONFLICT');
    t.equal(proxy.cuts, 7);
  });

  t.test(`a deletion whose command ${what} leaves nothing behind`, async (t) => {
    const redis = await newRedis(t);
    const [proxy, raw] = [await CutProxy.start(t, redis.port), await rawClient(t, redis.url)];
    const store = await openPatient(t, proxy.url);
    const deletions = [
      (session: string) => store.deleteSession(session),
      async (session: string) => void t.equal(await store.deleteExpired(session, 5_000), true),
    ];
    for (const remove of deletions) {
      const { session } = await newSession(store);
      await store.commit(session, step(1));
      // A retry that finds no row might leave the entry in the user's index.
      const wasCut = proxy.arm(cut, remove === deletions[0] ? 'UNLINK' : '5000');
      await remove(session);
      await wasCut;
      t.strictSame(await keysLeft(raw), []);
    }
  });

  t.test(`a read whose command ${what} is asked again, unless a later commit could be seen by it`, async (t) => {
    const redis = await newRedis(t);
    const proxy = await CutProxy.start(t, redis.port);
    const store = await openPatient(t, proxy.url);
    const { session } = await newSession(store);
    await store.commit(session, step(1));
    const wasCut = proxy.arm(cut, 'LRANGE');
    t.strictSame(await store.readHistory(session), [say('message 1')]);
    await wasCut;

    const both = proxy.arm(cut, 'id-2');
    const read = codeOf(store.readHistory(session));
    t.strictSame(await store.commit(session, step(2)), { ok: true });
    await both;
    t.equal(await read, 'ERR_UNAVAILABLE');
    await holds(t, store, session, 2);
  });
}

t.test('connections cut again and again under commits of many sessions lose and repeat none', async (t) => {
  const redis = await newRedis(t);
  const proxy = await CutProxy.start(t, redis.port);
  const store = await openPatient(t, proxy.url);
  const sessions = await Promise.all(Array.from({ length: 8 }, async () => (await newSession(store)).session));
  let landed = 0;
  const streams = sessions.map(async (session) => {
    for (let seq = 1; seq <= 60; seq++) {
      t.strictSame(await store.commit(session, step(seq)), { ok: true });
      landed += 1;
      if (landed % 37 === 0) proxy.cutAll();
    }
  });
  await Promise.all(streams);
  t.ok(proxy.cuts >= 10);
  for (const session of sessions) await holds(t, store, session, 60);
  t.strictSame(
    await store.readSeqs(sessions),
    sessions.map(() => 60),
  );
});

const REFUSALS: { word: string; set: (raw: Raw) => Promise<unknown>; lift: (raw: Raw) => Promise<unknown> }[] = [
  {
    word: 'OOM',
    set: (raw) => raw.configSet({ maxmemory: '1mb', 'maxmemory-policy': 'noeviction' }),
    lift: (raw) => raw.configSet('maxmemory', '0'),
  },
  {
    word: 'READONLY',
    set: (raw) => raw.replicaOf('127.0.0.1', 1),
    lift: (raw) => raw.sendCommand(['REPLICAOF', 'NO', 'ONE']),
  },
  {
    word: 'NOREPLICAS',
    set: (raw) => raw.configSet('min-replicas-to-write', '1'),
    lift: (raw) => raw.configSet('min-replicas-to-write', '0'),
  },
  // Without `save` Redis does not try another snapshot when it is told to end.
  {
    word: 'MISCONF',
    set: failSnapshot,
    lift: (raw) => raw.configSet({ 'stop-writes-on-bgsave-error': 'no', save: '' }),
  },
];

/** Simulates a full disk: the folder is removed, and Redis refuses writes that it cannot save. */
async function failSnapshot(raw: Raw): Promise<void> {
  const { dir } = await raw.configGet('dir');
  await raw.configSet('save', '3600 1');
  await rm(dir as string, { recursive: true });
  await raw.sendCommand(['BGSAVE']);
  await until(async () => (await raw.info('persistence')).includes('rdb_last_bgsave_status:err'));
}

for (const { word, set, lift } of REFUSALS) {
  t.test(
    `${word}: a commit waits until Redis writes again, or is refused at its deadline and never done`,
    async (t) => {
      const redis = await newRedis(t);
      const raw = await rawClient(t, redis.url);
      const [patient, hasty] = [await openPatient(t, redis.url), await openPatient(t, redis.url, { timeoutMs: 400 })];
      const { session } = await newSession(patient);
      const other = await newSession(patient);
      await patient.commit(session, step(1));
      await set(raw);
      const waiting = patient.commit(session, step(2));
      t.equal(await codeOf(hasty.commit(other.session, step(1))), 'ERR_UNAVAILABLE');
      await until(async () => (await refusals(raw, word)) > 3);
      t.match(await patient.readSession(session), { seq: 1 }, 'it is read all the while');
      await lift(raw);
      t.strictSame(await waiting, { ok: true });
      await holds(t, patient, session, 2);
      await holds(t, patient, other.session, 0);
      t.strictSame(await patient.commit(other.session, step(1)), { ok: true });
      await holds(t, patient, other.session, 1);
    },
  );
}

t.test('BUSY: commits and reads wait while a script blocks Redis', async (t) => {
  const redis = await newRedis(t, ['--busy-reply-threshold', '20']);
  const [raw, stuck] = [await rawClient(t, redis.url), await rawClient(t, redis.url)];
  const store = await openPatient(t, redis.url);
  const { session } = await newSession(store);
  await store.commit(session, step(1));
  const endless = stuck.eval('while true do end').catch((error: Error) => error.message);
  await until(async () => (await raw.ping().catch((error: Error) => error.message)).startsWith('BUSY'));
  const read = codeOf(store.readSession(session));
  const commit = store.commit(session, step(2));
  await raw.ping().catch(() => 'BUSY'); // a round trip behind theirs
  await raw.sendCommand(['SCRIPT', 'KILL']);
  t.match(await endless, /killed/i);
  t.strictSame(await commit, { ok: true });
  t.equal(await read, 'ERR_UNAVAILABLE', 'a read that would see the later commit is given up');
  await holds(t, store, session, 2);
});

t.test('a missing password or permission is not retried', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const store = await openPatient(t, redis.url);
  const { session } = await newSession(store);
  await raw.sendCommand(['ACL', 'SETUSER', 'default', '-evalsha']);
  t.equal(await codeOf(store.commit(session, { ...step(1), wakeAt: null })), 'ERR_UNAVAILABLE');
  t.equal(await refusals(raw, 'NOPERM'), 1);
  await raw.sendCommand(['ACL', 'SETUSER', 'default', '+evalsha']);
  t.strictSame(await store.commit(session, step(1)), { ok: true });
});

t.test('a slow Redis is waited for; past the deadline nothing lands that was given up', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const [patient, hasty] = [await openPatient(t, redis.url), await openPatient(t, redis.url, { timeoutMs: 150 })];
  const [mine, other] = [(await newSession(patient)).session, (await newSession(patient)).session];
  await raw.sendCommand(['CLIENT', 'PAUSE', '60000', 'WRITE']);
  const waiting = patient.commit(mine, step(1));
  t.equal(await codeOf(hasty.commit(other, step(1))), 'ERR_UNAVAILABLE');
  await raw.sendCommand(['CLIENT', 'UNPAUSE']);
  t.strictSame(await waiting, { ok: true });
  await until(async () => (await codeOf(hasty.touchSession(other, 5))) === 'ok');
  await holds(t, patient, mine, 1);
  await holds(t, patient, other, 0);
  t.strictSame(await patient.commit(other, step(1)), { ok: true });
  await holds(t, patient, other, 1);
});

t.test(
  'Redis killed and started again under commits of many sessions loses none that was answered, repeats none',
  async (t) => {
    const redis = await newRedis(t, ['--appendonly', 'yes', '--appendfsync', 'always']);
    const proxy = await CutProxy.start(t, redis.port);
    const store = await openPatient(t, proxy.url);
    const sessions = await Promise.all(Array.from({ length: 6 }, async () => (await newSession(store)).session));
    const stream = { running: true };
    let landed = 0;
    const counts = Promise.all(
      sessions.map(async (session) => {
        let seq = 0;
        while (stream.running) {
          t.strictSame(await store.commit(session, step(seq + 1)), { ok: true });
          seq += 1;
          landed += 1;
        }
        return seq;
      }),
    );
    for (const cut of ['after', undefined, 'before', 'after', undefined] as (Cut | undefined)[]) {
      const before = landed;
      await until(async () => landed >= before + 40);
      // Redis dies with commits that it has written and not answered, and with commits that it has never seen.
      if (cut !== undefined) await proxy.arm(cut, 'EVALSHA');
      await redis.kill();
      await redis.restart();
    }
    const before = landed;
    await until(async () => landed >= before + 40);
    stream.running = false;
    const seqs = await counts;
    t.strictSame(await store.readSeqs(sessions), seqs);
    for (const [i, session] of sessions.entries()) await holds(t, store, session, seqs[i] ?? -1);
  },
);

t.test('commits whose deadline passes while Redis is down never land, and later ones succeed', async (t) => {
  const redis = await newRedis(t, ['--appendonly', 'yes', '--appendfsync', 'always']);
  const store = await openPatient(t, redis.url, { timeoutMs: 1000 });
  const sessions = await Promise.all(Array.from({ length: 5 }, async () => (await newSession(store)).session));
  await Promise.all(sessions.map((session) => store.commit(session, step(1))));
  await redis.kill();
  const codes = await Promise.all(sessions.map((session) => codeOf(store.commit(session, step(2)))));
  t.strictSame(
    codes,
    sessions.map(() => 'ERR_UNAVAILABLE'),
  );
  await redis.restart();
  await until(async () => (await codeOf(store.ping())) === 'ok');
  for (const session of sessions) {
    await holds(t, store, session, 1);
    t.strictSame(await store.commit(session, step(2)), { ok: true });
    await holds(t, store, session, 2);
  }
});

t.test('closing waits for commits that are being tried again, and for what they move in the indexes', async (t) => {
  const redis = await newRedis(t);
  const proxy = await CutProxy.start(t, redis.port);
  const [store, other] = [await openPatient(t, proxy.url), await openPatient(t, redis.url)];
  const { session } = await newSession(store);
  const wasCut = proxy.arm('after', 'id-1');
  const commit = store.commit(session, { ...step(1), row: { turns: 1, lastActiveAt: 70_000 } });
  await wasCut;
  const closed = store.close();
  t.equal(await codeOf(store.ping()), 'ERR_UNAVAILABLE');
  await closed;
  t.strictSame(await commit, { ok: true });
  await holds(t, other, session, 1);
  const raw = await rawClient(t, redis.url);
  t.equal(await raw.zScore('fairlead:sessions', session), 70_000);
});
