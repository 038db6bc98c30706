import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { openLmdbStore } from '../../../../workers/agent/store/lmdb-store.js';
import { keyDigest, openTables, type StoredRow } from '../../../../workers/agent/store/lmdb-tables.js';
import { codeOf, deferred, events, LIMITS, newRow, OWNER, say, type Backend } from './store-backend.js';
import { storeSuite } from './store-suite.js';

async function newBackend(t: Test): Promise<Backend & { dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'fl-lmdb-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const raw = openTables(dir);
  t.teardown(() => raw.root.close());
  return {
    dir,
    async open(t, { limits, ...options } = {}) {
      const store = await openLmdbStore(dir, { owner: OWNER, ...options, limits: { ...LIMITS, ...limits } });
      t.teardown(() => store.close());
      return store;
    },
    async traces(name) {
      raw.root.resetReadTxn();
      const { rows, history, events, ids, index, wakeUps } = raw;
      const keys = [rows, history, events, ids, index, wakeUps].flatMap((table) =>
        Array.from(table.getKeys() as Iterable<unknown>, (key) => JSON.stringify(key)),
      );
      return keys.filter((key) => key.includes(name) || key.includes(keyDigest(name)));
    },
    async historyEntries(session) {
      raw.root.resetReadTxn();
      return raw.history.getKeysCount({ start: [session], end: [session, ''] });
    },
    async logBytes(session) {
      raw.root.resetReadTxn();
      return raw.rows.get(session)?.logBytes ?? -1;
    },
  };
}

t.test('the contract of a store, on LMDB', async (t) => {
  storeSuite(t, await newBackend(t));
});

t.test('what was committed is there when another process opens the folder after a kill', async (t) => {
  const { dir } = await newBackend(t);
  const row = newRow();
  const url = new URL('../../../../workers/agent/store/lmdb-store.js', import.meta.url).href;
  const program = `
    const { openLmdbStore } = await import(${JSON.stringify(url)});
    const store = await openLmdbStore(${JSON.stringify(join(dir, 'other'))}, { owner: ${JSON.stringify(OWNER)}, limits: ${JSON.stringify(LIMITS)} });
    await store.createSession(${JSON.stringify(row)});
    await store.commit(${JSON.stringify(row.session)}, ${JSON.stringify({ events: events(1, 2), messages: [say('kept')] })});
    process.kill(process.pid, 'SIGKILL');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' });
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
  t.equal(signal, 'SIGKILL');
  const store = await openLmdbStore(join(dir, 'other'), { owner: OWNER, limits: LIMITS });
  t.teardown(() => store.close());
  t.strictSame(await store.readHistory(row.session), [say('kept')]);
  t.equal((await store.readSession(row.session))?.seq, 2);
});

t.test('a session that an earlier version stored is read, taken over and continued', async (t) => {
  const backend = await newBackend(t);
  const store = await backend.open(t);
  const row = newRow();
  await store.createSession(row);
  const { rows, events: log, root } = openTables(backend.dir);
  t.teardown(() => root.close());
  const { owner: _owner, context: _context, logBytes: _logBytes, ...old } = rows.get(row.session) as StoredRow;
  await rows.put(row.session, { ...old, seq: 3 } as StoredRow);
  for (const { seq, json } of events(1, 3)) await log.put([row.session, seq, Date.now()], json);
  const read = { ...row, seq: 3, owner: '', context: null };
  t.strictSame(await store.readSession(row.session), read);
  t.equal(await codeOf(store.commit(row.session, { events: events(4) })), 'ERR_STORE_CONFLICT');
  t.strictSame(await store.takeOver(row.session), { ...read, owner: OWNER });
  t.strictSame(await store.commit(row.session, { events: events(4) }), { ok: true });
  t.strictSame(await store.readEvents(row.session, 0, 10), { events: events(1, 4), oldest: 1 });
  const bytes = events(1, 4).reduce((sum, { json }) => sum + json.length, 0);
  t.equal(await backend.logBytes(row.session), bytes);
});

t.test('threads of one process share the folder, and one that ends leaves the others working', async (t) => {
  const backend = await newBackend(t);
  const store = await backend.open(t);
  const row = newRow();
  await store.createSession(row);
  const url = new URL('../../../../workers/agent/store/lmdb-store.js', import.meta.url).href;
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.url).then(async ({ openLmdbStore }) => {
      const store = await openLmdbStore(workerData.dir, { owner: workerData.owner, limits: workerData.limits });
      let won = 0;
      for (let seq = 1; seq <= 40; seq++) {
        const event = { seq, json: JSON.stringify({ seq }) };
        try { await store.commit(workerData.session, { events: [event] }); won++; }
        catch (error) { if (error.code !== 'ERR_STORE_CONFLICT') throw error; }
      }
      await store.close();
      parentPort.postMessage(won);
    });`;
  const workerData = { url, dir: backend.dir, owner: OWNER, limits: LIMITS, session: row.session };
  const results = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const worker = new Worker(program, { eval: true, workerData });
      return new Promise<number>((resolve, reject) => {
        let won = -1;
        worker.on('message', (value: number) => (won = value));
        worker.on('error', reject);
        worker.on('exit', () => resolve(won));
      });
    }),
  );
  t.equal(
    results.reduce((sum, won) => sum + won),
    40,
    `each seq was won once: ${results.join(' ')}`,
  );
  t.equal((await store.readSession(row.session))?.seq, 40);
  t.strictSame(await store.commit(row.session, { events: events(41) }), { ok: true });
});

t.test('a folder that cannot be used is ERR_START', async (t) => {
  const { dir } = await newBackend(t);
  await writeFile(join(dir, 'file'), 'no folder');
  t.equal(await codeOf(openLmdbStore(join(dir, 'file'), { owner: OWNER, limits: LIMITS })), 'ERR_START');
});

t.test('a write that LMDB does not start by its deadline is ERR_UNAVAILABLE and never lands', async (t) => {
  const backend = await newBackend(t);
  const store = await backend.open(t);
  const hasty = await backend.open(t, { limits: { timeoutMs: 100 } });
  const row = newRow();
  await store.createSession(row);
  const holder = openTables(backend.dir);
  t.teardown(() => holder.root.close());
  const [held, released] = [deferred<void>(), deferred<void>()];
  const holding = holder.root.transaction(() => {
    held.resolve();
    return released.promise;
  });
  await held.promise;
  t.equal(await codeOf(hasty.commit(row.session, { events: events(1) })), 'ERR_UNAVAILABLE');
  t.equal((await store.readSession(row.session))?.seq, 0, 'reading goes on');
  released.resolve();
  await holding;
  // It runs after the write that was given up on.
  await hasty.close();
  t.strictSame(await store.commit(row.session, { events: events(1, 1, 'second') }), { ok: true });
  t.strictSame((await store.readEvents(row.session, 0, 5)).events, events(1, 1, 'second'));
});

t.test('a full disk is ERR_UNAVAILABLE, ends no thread, and loses nothing that was committed', async (t) => {
  const { dir } = await newBackend(t);
  const row = newRow();
  const url = new URL('../../../../workers/agent/store/lmdb-store.js', import.meta.url).href;
  const program = `
    const { openLmdbStore } = await import(${JSON.stringify(url)});
    const store = await openLmdbStore(${JSON.stringify(join(dir, 'full'))}, { owner: ${JSON.stringify(OWNER)}, limits: ${JSON.stringify({ ...LIMITS, maxEvents: 9999 })} });
    await store.createSession(${JSON.stringify(row)});
    let [seq, refused] = [0, 0];
    while (refused < 3) {
      const event = { seq: seq + 1, json: 'x'.repeat(20000) };
      try { await store.commit(${JSON.stringify(row.session)}, { events: [event] }); seq++; }
      catch (error) { if (error.code !== 'ERR_UNAVAILABLE') throw error; refused++; }
    }
    const { events } = await store.readEvents(${JSON.stringify(row.session)}, 0, 9999);
    if (events.length !== seq) throw new Error(events.length + ' of ' + seq);
    await store.deleteSession(${JSON.stringify(row.session)});
    await store.close();
    process.exit(seq > 5 ? 42 : 1);`;
  // A limit on file sizes stands in for the disk; LMDB itself reports each refused write on stderr.
  const args = [
    '-c',
    'ulimit -f 1000; unset NODE_V8_COVERAGE NODE_OPTIONS; exec "$0" --input-type=module -e "$1"',
    process.execPath,
    program,
  ];
  // Coverage must be off in the child, as its file would exceed that limit. `env` cannot do it, since tap adds to it.
  const child = spawn('sh', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const said: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  t.equal(code, 42, code === 42 ? '' : Buffer.concat(said).toString());
});

t.test('a clock that jumps locks nobody out, and opens a limit for as long as its window at most', async (t) => {
  const backend = await newBackend(t);
  const counting = { turns: true, history: true, turnLeaseMs: 60_000 };
  const store = await backend.open(t, { counting });
  const user = 'ann';
  const [one, two] = [newRow({ user }), newRow({ user })];
  for (const row of [one, two]) await store.createSession(row);
  const accepts = { maxTurns: 1, maxMessagesPerMinute: 1, maxHistoryBytes: 0, bytes: 1 };
  const send = async (session: string, open: number): Promise<unknown> => {
    const row = { openTurns: Array.from({ length: open }, (_, index) => ({ turn: index + 1 })) };
    const result = await store.commit(session, { events: [], row, count: { user, accepts } });
    return result.ok ? 'ok' : 'over' in result && result.over.limit;
  };
  const now = Date.now;
  t.teardown(() => (Date.now = now));
  Date.now = () => now() + 3_600_000;
  t.equal(await send(one.session, 1), 'ok');
  t.equal(await send(two.session, 1), 'maxTurns');
  Date.now = now; // an hour back: what was counted lies in the future
  t.equal(await send(two.session, 1), 'ok');
  t.equal(await send(one.session, 0), 'maxMessagesPerMinute');
  Date.now = () => now() + 86_400_000;
  t.equal(await send(one.session, 1), 'ok', 'a day ahead: all windows and leases are over');
});
