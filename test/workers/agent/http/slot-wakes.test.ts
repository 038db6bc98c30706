/** Slots of one server in several real threads: together they have as many as one. */
import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import t from 'tap';
import { createSlots, forgetThread, SlotLedger } from '../../../../src/shared/threads/shared-slots.js';
import { ConnectionSlots, type StreamHolder } from '../../../../workers/agent/http/connection-slots.js';
import { SlotWakes } from '../../../../workers/agent/http/slot-wakes.js';

// The channel of the slots keeps no thread alive; in a server the thread's port does.
const { port1: alive } = new MessageChannel();
alive.ref();
t.teardown(() => alive.close());

const never = new AbortController().signal;

/** Takes and gives back slots `rounds` times, ten at once, and counts how many all threads hold at the same time. */
const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads');
parentPort.on('message', () => undefined); // keeps the thread, as its port does in a server
const { memory, counts, thread, threads, max, rounds, urls } = workerData;
Promise.all(urls.map((url) => import(url))).then(async ([{ ConnectionSlots }, { SlotWakes }]) => {
  const wakes = new SlotWakes(memory, () => ({ it: 0 }), { thread, threads });
  const slots = new ConnectionSlots('it', max, { shared: wakes.of('it') });
  const held = new Int32Array(counts);
  const signal = new AbortController().signal;
  const work = async () => {
    for (let round = 0; round < rounds; round++) {
      const release = await slots.acquire(round % 3 === 0 ? 'control' : 'call', signal);
      const now = Atomics.add(held, 0, 1) + 1;
      for (let most = Atomics.load(held, 1); now > most; most = Atomics.load(held, 1)) Atomics.compareExchange(held, 1, most, now);
      await new Promise((resolve) => setImmediate(resolve));
      Atomics.sub(held, 0, 1);
      release();
    }
  };
  await Promise.all(Array.from({ length: 10 }, work));
  wakes.close();
  parentPort.postMessage('done');
});`;

t.test('all threads together hold as many slots as the limit says, and each gets its turn', async (t) => {
  const [threads, max] = [3, 4];
  const memory = createSlots(1, threads);
  const counts = new SharedArrayBuffer(8);
  const urls = ['connection-slots', 'slot-wakes'].map(
    (name) => new URL(`../../../../workers/agent/http/${name}.js`, import.meta.url).href,
  );
  const workers = Array.from({ length: threads }, (_, thread) => {
    const workerData = { memory, counts, thread, threads, max, rounds: 50, urls };
    return new Worker(PROGRAM, { eval: true, workerData });
  });
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  await Promise.all(workers.map((worker) => worker.terminate()));
  t.equal(Atomics.load(new Int32Array(counts), 1), max, 'all were in use at some time, and never more');
  t.same(new SlotLedger(memory, { server: 0, thread: 0, threads }).counts, { open: 0, long: 0, streams: 0, turns: 0 });
});

t.test('a request that waits gets the slot of a thread that has died', async (t) => {
  const memory = createSlots(1, 2);
  const wakes = [0, 1].map((thread) => new SlotWakes(memory, () => ({ it: 0 }), { thread, threads: 2 }));
  t.teardown(() => wakes.forEach((each) => each.close()));
  const [dead, other] = wakes.map((each) => new ConnectionSlots('it', 2, { shared: each.of('it')! }));
  const held = await Promise.all([dead!.acquire('control', never), dead!.acquire('control', never)]);
  const waiting = other!.acquire('control', never);
  forgetThread(memory, 0, 2);
  (await waiting)();
  t.equal(held.length, 2);
});

t.test('an idle stream of another thread is closed when its slot is needed', async (t) => {
  const memory = createSlots(1, 2);
  const wakes = [0, 1].map((thread) => new SlotWakes(memory, () => ({ it: 0 }), { thread, threads: 2 }));
  t.teardown(() => wakes.forEach((each) => each.close()));
  const [one, other] = wakes.map((each) => new ConnectionSlots('it', 4, { shared: each.of('it')! })); // three for calls, one of them for a stream
  const ended: string[] = [];
  const holder: StreamHolder = {
    isIdle: () => true,
    onEvict: () => ended.push('evicted'),
    onEnd: () => ended.push('ended'),
  };
  t.type(one!.tryStream(holder), 'function');
  const calls = await Promise.all([other!.acquire('call', never), other!.acquire('call', never)]);
  const release = await other!.acquire('call', never);
  t.same(ended, ['evicted', 'ended']);
  for (const each of [...calls, release]) each();
});
