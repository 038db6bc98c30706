/** Who may ask the model next, over all agent threads: round robin by user, within the bound, and not during a pause. */
import t, { type Test } from 'tap';
import { ModelSlots } from '../../../../src/shared/threads/model-slots.js';
import { ModelBroker } from '../../../../src/threads/model-calls/model-broker.js';
import type { ModelCallNews } from '../../../../workers/agent/contract/model-calls.js';

const MODEL = 'model-1';

function world(t: Test, options: { maxCalls?: number; threads?: number; maxWaiting?: number } = {}) {
  const { maxCalls = 0, threads = 2, ...more } = options;
  const slots = ModelSlots.create(threads);
  const granted: string[] = [];
  const waits: ModelCallNews['waits'] = [];
  const full: number[] = [];
  const names = new Map<number, { name: string; thread: number }>();
  let now = 1_000;
  const broker = new ModelBroker({
    slots,
    maxCalls: () => maxCalls,
    ...more,
    clock: () => now,
    post: (thread, news) => {
      for (const id of news.granted) {
        t.equal(names.get(id)?.thread, thread, 'the thread is told that asked');
        granted.push(names.get(id)?.name ?? '?');
      }
      waits.push(...news.waits);
      full.push(...news.full);
    },
  });
  t.teardown(() => broker.close());
  let id = 0;
  const ask = (name: string, { thread = id % threads, model = MODEL, again = false } = {}): number => {
    names.set(++id, { name, thread });
    broker.ask({ thread, id, user: name.slice(0, 1), model, again });
    return id;
  };
  /** The request ends as a thread ends it. */
  const end = (thread: number, wasGranted = true, model = MODEL): void => {
    slots.end(thread);
    if (slots.mustAsk) broker.ended({ thread, model, granted: wasGranted });
  };
  return { slots, broker, granted, waits, full, ask, end, pass: (ms: number) => (now += ms) };
}

t.test('while nothing is short nobody asks; a thread that finds all slots taken asks from then on', async (t) => {
  const { slots, ask, granted, waits, end } = world(t, { maxCalls: 2 });
  t.equal(slots.mustAsk, false);
  t.equal(slots.begin(0, 2), true);
  t.equal(slots.begin(1, 2), true);
  t.equal(slots.begin(1, 2), false);
  t.equal(slots.total, 2);
  ask('a1', { thread: 1 });
  t.equal(slots.mustAsk, true);
  t.match(waits, [{ id: 1, reason: 'fairness' }]);
  t.same(granted, []);
  end(0, false);
  t.same(granted, ['a1']);
  t.equal(slots.total, 2);
  t.equal(slots.mustAsk, false, 'nobody waits');
});

t.test('one with 200 in the line delays each other by one, whichever thread they are on', async (t) => {
  const { ask, granted, end } = world(t, { maxCalls: 1, threads: 3 });
  for (let index = 0; index < 200; index++) ask(`a${index}`, { thread: 0 });
  t.same(granted, ['a0']);
  ask('b0', { thread: 1 });
  ask('c0', { thread: 2 });
  for (const thread of [0, 0, 1, 2]) end(thread);
  t.same(granted, ['a0', 'a1', 'b0', 'c0', 'a2']);
});

t.test(
  'a refusal stops the requests of that model on all threads, and tells those who wait; others go on',
  async (t) => {
    const { slots, broker, ask, granted, waits, pass } = world(t);
    for (const thread of [0, 0, 1, 1]) slots.begin(thread, Infinity);
    broker.refused({ model: MODEL, retryAfterMs: 5_000 });
    t.equal(slots.mustAsk, true);
    const first = ask('a1', { thread: 0 });
    ask('b1', { thread: 1 });
    ask('c1', { thread: 1, model: 'another' });
    t.same(granted, ['c1']);
    t.match(waits[0], { id: first, reason: 'model_rate', retryAfterMs: 5_000 });
    pass(2_000);
    broker.refused({ model: MODEL, retryAfterMs: 9_000 });
    t.match(waits.slice(-2), [
      { reason: 'model_rate', retryAfterMs: 9_000 },
      { reason: 'model_rate', retryAfterMs: 9_000 },
    ]);
    pass(9_000);
    broker.ended({ thread: 0, model: MODEL, granted: false });
    t.same(granted, ['c1', 'a1'], 'one of them, not both');
    broker.answered({ model: MODEL, limits: [] });
    t.same(granted, ['c1', 'a1', 'b1']);
  },
);

t.test('the pause ends by itself', async (t) => {
  const slots = ModelSlots.create(1);
  const begun = performance.now();
  const granted = new Promise<number>((resolve) => {
    const broker = new ModelBroker({
      slots,
      maxCalls: () => 0,
      post: (_thread, news) => news.granted.length > 0 && resolve(performance.now() - begun),
    });
    t.teardown(() => broker.close());
    broker.refused({ model: MODEL, retryAfterMs: 100 });
    broker.ask({ thread: 0, id: 1, user: 'a', model: MODEL, again: false });
  });
  const keeps = setInterval(() => undefined, 1_000); // the broker's own timer keeps no process alive
  t.teardown(() => clearInterval(keeps));
  t.ok((await granted) >= 99);
});

t.test('who leaves the line is not served; a place that was given meanwhile is free again', async (t) => {
  const { slots, broker, ask, granted, end } = world(t, { maxCalls: 1 });
  ask('a1', { thread: 0 });
  const second = ask('a2', { thread: 0 });
  ask('b1', { thread: 1 });
  broker.leave({ thread: 0, id: second, model: MODEL });
  t.equal(broker.waiting, 1);
  end(0);
  t.same(granted, ['a1', 'b1']);
  broker.leave({ thread: 1, id: 3, model: MODEL });
  t.equal(slots.total, 0);
});

t.test('a thread that dies frees its places and leaves the line', async (t) => {
  const { slots, broker, ask, granted } = world(t, { maxCalls: 2 });
  ask('a1', { thread: 0 });
  ask('a2', { thread: 0 });
  ask('a3', { thread: 0 });
  ask('b1', { thread: 1 });
  broker.threadEnded(0);
  t.same(granted, ['a1', 'a2', 'b1']);
  t.equal(slots.total, 1);
  t.equal(broker.waiting, 0);
});

t.test('the line is bounded', async (t) => {
  const { ask, full, granted } = world(t, { maxCalls: 1, maxWaiting: 2 });
  for (const name of ['a1', 'a2', 'a3']) ask(name);
  t.same(full, []);
  const id = ask('b1');
  t.same(full, [id]);
  t.same(granted, ['a1']);
});
