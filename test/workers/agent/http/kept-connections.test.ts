/** Connections that are kept alive count: those of all threads together are no more than the limit, busy or not. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MessageChannel } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { createSlots, SlotLedger } from '../../../../src/shared/threads/shared-slots.js';
import { SafeHttp } from '../../../../workers/agent/http/http.js';
import { SlotWakes } from '../../../../workers/agent/http/slot-wakes.js';
import { deferred } from '../../../helpers/processes.js';
import { until } from '../../../helpers/until.js';

const MAX = 4;
/** Shorter than connections are kept. */
const IN_TIME = { timeoutMs: 15_000 };

// The channel of the slots keeps no thread alive; in a server the thread's port does.
const { port1: alive } = new MessageChannel();
alive.ref();
t.teardown(() => alive.close());

interface World {
  server: Server;
  /** Connections so far. */
  opened: () => number;
  /** Answers so many requests together, and no fewer. */
  together: (count: number) => void;
  threads: SafeHttp[];
  ledger: SlotLedger;
  ask: (thread: SafeHttp) => Promise<string>;
}

async function world(t: Test): Promise<World> {
  let opened = 0;
  let wanted = 1;
  let gathered: (() => void)[] = [];
  const server = createServer((_request, response) => {
    gathered.push(() => response.end('hello'));
    if (gathered.length < wanted) return;
    for (const answer of gathered) answer();
    gathered = [];
  });
  server.on('connection', () => opened++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const memory = createSlots(1, 2);
  const wakes = [0, 1].map((thread) => new SlotWakes(memory, () => ({ it: 0 }), { thread, threads: 2 }));
  const threads = wakes.map(
    (each) =>
      new SafeHttp({
        name: 'it',
        rules: { allowLoopback: true, allowHosts: [] },
        maxConnections: MAX,
        slots: each.of('it'),
        timeoutMs: 60_000,
      }),
  );
  t.teardown(async () => {
    await Promise.all(threads.map((thread) => thread.close()));
    for (const each of wakes) each.close();
    const closed = deferred<void>();
    server.close(() => closed.resolve());
    await closed.promise;
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    server,
    opened: () => opened,
    together: (count) => (wanted = count),
    threads,
    ledger: new SlotLedger(memory, { server: 0, thread: 0, threads: 2 }),
    ask: async (thread) => (await thread.fetch(url)).text(),
  };
}

async function openAt(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

t.test('a thread that lacks a connection has those closed that another one keeps', async (t) => {
  const { server, threads, together, ask, ledger } = await world(t);
  const [one, other] = threads as [SafeHttp, SafeHttp];
  together(MAX);
  const all = (thread: SafeHttp): Promise<string[]> => Promise.all(Array.from({ length: MAX }, () => ask(thread)));
  t.same(
    await all(one),
    Array.from({ length: MAX }, () => 'hello'),
  );
  t.equal(ledger.counts.open, MAX, 'those that are kept count');
  t.same(
    await all(other),
    Array.from({ length: MAX }, () => 'hello'),
    'and hold nobody up',
  );
  t.equal(ledger.counts.open, MAX);
  await until('no more are open than may be', async () => (await openAt(server)) <= MAX, IN_TIME);
  t.same(
    await all(one),
    Array.from({ length: MAX }, () => 'hello'),
    'the first goes on as before',
  );
});

t.test('one exchange after the other takes the connection that is kept', async (t) => {
  const { threads, opened, ask, ledger } = await world(t);
  for (let n = 0; n < 10; n++) await ask(threads[0]!);
  // A connection is free a turn of the event loop after its answer.
  t.ok(opened() <= 2, `${opened()} connections`);
  t.ok(ledger.counts.open <= 2);
});

t.test('a connection that the server closes gives its slot back', async (t) => {
  const { server, threads, ask, ledger } = await world(t);
  await ask(threads[0]!);
  t.equal(ledger.counts.open, 1);
  server.closeAllConnections();
  await until('the slot is free', () => ledger.counts.open === 0, IN_TIME);
  t.equal(await ask(threads[0]!), 'hello');
});
