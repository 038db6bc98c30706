import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { openStore } from '../../../../workers/agent/store/open.js';
import type { SessionRow, Store } from '../../../../workers/agent/store/store.js';
import { Outbox } from '../../../../workers/agent/log/outbox.js';
import { SessionLog } from '../../../../workers/agent/log/session-log.js';
import { OWNER } from '../agent-bench.js';

const ROW: SessionRow = {
  session: 's-1',
  user: 'u',
  model: 'm',
  title: '',
  createdAt: 1,
  lastActiveAt: 1,
  seq: 0,
  turns: 0,
  openTurns: [],
  allowed: [],
  owner: OWNER,
  context: null,
};

interface Bench {
  store: Store;
  log: SessionLog;
  sent: string[];
  failures: unknown[];
  outbox: Outbox;
}

async function makeLog(t: { teardown: (fn: () => Promise<void>) => unknown }): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'fl-log-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const store = await openStore('lmdb', parseConfig({}, {}, dir), { owner: OWNER });
  t.teardown(() => store.close());
  await store.createSession(ROW);
  const sent: string[] = [];
  const outbox = new Outbox((batch) => sent.push(...batch.flatMap(({ frames }) => frames.map(({ json }) => json))));
  const failures: unknown[] = [];
  const log = new SessionLog({ row: { ...ROW } }, { store, outbox, onFailure: (error) => failures.push(error) });
  return { store, log, sent, failures, outbox };
}

const cleared = { events: [{ type: 'history:cleared' as const }] };
const unheard = { outbox: new Outbox(() => undefined), onFailure: () => undefined };
const user = (text: string) => ({ role: 'user' as const, content: [{ type: 'text', text }] });

void t.test(
  'steps land in order, each sees the row of the one before, and events are sent once they are stored',
  async (t) => {
    const { log, store, sent, outbox } = await makeLog(t);
    const seen: number[] = [];
    const step = () => {
      seen.push(log.row.turns);
      return { events: [{ type: 'turn:start' as const, turn: 1 }], row: { turns: log.row.turns + 1 } };
    };
    const steps = [log.commit(step), log.commit(step), log.commit(step)];
    t.notOk(log.idle);
    outbox.flush();
    t.same(sent, [], 'nothing is sent before it is stored');
    await Promise.all(steps);
    t.ok(log.idle);
    outbox.flush();
    t.same(seen, [0, 1, 2]);
    t.same(
      sent.map((json) => JSON.parse(json) as unknown),
      [1, 2, 3].map((seq) => ({ type: 'turn:start', seq, turn: 1 })),
    );
    t.match(await store.readSession('s-1'), { seq: 3, turns: 3 });
  },
);

void t.test('a duplicate message writes nothing and fails nothing', async (t) => {
  const { log, failures } = await makeLog(t);
  t.same(await log.commit(() => ({ ...cleared, accept: { id: 'm', turn: 1 } })), { ok: true });
  t.same(await log.commit(() => ({ ...cleared, accept: { id: 'm', turn: 2 }, row: { turns: 9 } })), {
    ok: false,
    duplicateOf: 1,
  });
  t.match(log.row, { seq: 1, turns: 0 });
  t.same(failures, []);
  t.same(await log.commit(() => cleared), { ok: true });
});

void t.test('a step of another writer fails this log for good, and is reported once', async (t) => {
  const { log, store, failures } = await makeLog(t);
  await store.commit('s-1', { events: [{ seq: 1, json: '{}' }] });
  const both = await Promise.allSettled([log.commit(() => cleared), log.commit(() => cleared)]);
  for (const result of both) t.match(result, { status: 'rejected', reason: { code: 'ERR_STORE_CONFLICT' } });
  t.equal(failures.length, 1);
  t.ok(log.idle);
  await t.rejects(
    log.commit(() => cleared),
    { code: 'ERR_STORE_CONFLICT' },
  );
});

void t.test('a failed log writes nothing any more', async (t) => {
  const { log, store, failures } = await makeLog(t);
  log.fail(new FairleadError('ERR_NO_SUCH_SESSION', 'gone'));
  await t.rejects(
    log.commit(() => cleared),
    { code: 'ERR_NO_SUCH_SESSION' },
  );
  t.equal((await store.readSession('s-1'))?.seq, 0);
  t.same(failures, [], 'whoever failed it knows');
});

void t.test('a plan that throws harms only its own step', async (t) => {
  const { log } = await makeLog(t);
  const broken = log.commit(() => {
    throw new FairleadError('ERR_INTERNAL', 'a fault');
  });
  await t.rejects(broken, { code: 'ERR_INTERNAL' });
  t.same(await log.commit(() => cleared), { ok: true });
});

void t.test('the transcript is read once and kept up to date with each step', async (t) => {
  const { log, store } = await makeLog(t);
  await log.commit(() => ({ events: [], messages: [user('a')] }));
  t.same(await log.transcript(), [user('a')]);
  await log.commit(() => ({ events: [], messages: [user('b')] }));
  t.same(await log.transcript(), [user('a'), user('b')]);
  await log.commit(() => ({ ...cleared, clearHistory: true }));
  t.same(await log.transcript(), []);
  await log.commit(() => ({ events: [], messages: [user('c')] }));
  t.same(await log.transcript(), await store.readHistory('s-1'));
});

void t.test('a read between two steps sees exactly what the row says', async (t) => {
  const { log, store } = await makeLog(t);
  const reads = Array.from({ length: 20 }, () => {
    void log.commit(() => ({ ...cleared, messages: [user('x')] }));
    return log.between(async () => ({ seq: log.row.seq, messages: (await store.readHistory('s-1')).length }));
  });
  for (const [index, read] of reads.entries()) t.same(await read, { seq: index + 1, messages: index + 1 });
});

void t.test(
  'a long history is read in slices between which the thread does other work, and with what is committed meanwhile',
  async (t) => {
    const { log, store } = await makeLog(t);
    log.row.history = { bytes: 0, messages: 0, clears: 0 };
    const texts = Array.from({ length: 60 }, (_, at) => `${at} ${'x'.repeat(300_000)}`);
    for (const text of texts) await log.commit(() => ({ events: [], messages: [user(text)] }));
    const fresh = new SessionLog({ row: { ...log.row } }, { store, ...unheard });
    let turns = 0;
    const loop = setInterval(() => turns++, 0);
    t.teardown(() => clearInterval(loop));
    const started = fresh.commit(() => ({ events: [], messages: [user('last')], onStart: () => undefined }));
    const read = fresh.transcript();
    const after = fresh.commit(() => ({ events: [], messages: [user('after')] }));
    await Promise.all([started, read, after]);
    t.ok(turns > 10, `the loop turned ${turns} times`);
    t.same(await fresh.transcript(), [...texts, 'last', 'after'].map(user));
  },
);

void t.test('a repeated message does not read a long history', async (t) => {
  const { log, store } = await makeLog(t);
  log.row.history = { bytes: 0, messages: 0, clears: 0 };
  const long = [user('x'.repeat(300_000))];
  await log.commit(() => ({ events: [], messages: long, accept: { id: 'm', turn: 1 } }));
  const read: string[] = [];
  const watched = new Proxy(store, {
    get(target, name) {
      read.push(String(name));
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const fresh = new SessionLog({ row: { ...log.row } }, { store: watched, ...unheard });
  const step = { events: [], messages: [user('x')], accept: { id: 'm', turn: 2 }, onStart: () => undefined };
  t.match(await fresh.commit(() => step), { ok: false, duplicateOf: 1 });
  t.same(read, ['commit']);
});
