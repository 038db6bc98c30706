/** Places of a thread's requests: free ones cost nothing, the others wait for the main thread's word. */
import t, { type Test } from 'tap';
import { ModelSlots } from '../../../../src/shared/threads/model-slots.js';
import { ModelBroker } from '../../../../src/threads/model-calls/model-broker.js';
import type { ModelCallAnswered, ModelCallWait } from '../../../../workers/agent/contract/model-calls.js';
import { ModelPlaces } from '../../../../workers/agent/model/model-places.js';

const NEVER = new AbortController().signal;
const LIMITS = (remaining: number): Headers =>
  new Headers({
    'anthropic-ratelimit-requests-limit': '50',
    'anthropic-ratelimit-requests-remaining': String(remaining),
    'anthropic-ratelimit-requests-reset': new Date(Date.now() + 30_000).toISOString(),
    'anthropic-ratelimit-tokens-remaining': 'many',
  });

/** Two threads' places with a real broker between them. */
function world(t: Test, { maxCalls = 0, waitMs = 60_000 } = {}) {
  const slots = ModelSlots.create(2);
  const told: ModelCallAnswered[] = [];
  const messages: string[] = [];
  const note =
    <A>(name: string, act: (body: A) => void) =>
    (body: A): void => {
      messages.push(name);
      act(body);
    };
  const threads = [0, 1].map((thread) => {
    return new ModelPlaces({
      thread,
      slots,
      limits: { maxModelCalls: maxCalls, modelWaitMs: waitMs },
      host: {
        ask: note('ask', (body) => broker.ask(body)),
        leave: note('leave', (body) => broker.leave(body)),
        ended: note('ended', (body) => broker.ended(body)),
        refused: note('refused', (body) => broker.refused(body)),
        answered: note('answered', (body: ModelCallAnswered) => {
          told.push(body);
          broker.answered(body);
        }),
      },
    });
  });
  const broker = new ModelBroker({
    slots,
    maxCalls: () => maxCalls,
    post: (thread, news) => threads[thread]?.note(news),
  });
  const keeps = setInterval(() => undefined, 1_000); // the broker's own timer keeps no process alive
  t.teardown(() => {
    clearInterval(keeps);
    broker.close();
    for (const places of threads) places.close();
  });
  const [one, two] = threads;
  if (!one || !two) throw new Error('two threads');
  return { slots, broker, one, two, told, messages };
}

function of(user: string, signal = NEVER) {
  const waits: (ModelCallWait | undefined)[] = [];
  return { user, model: 'm', signal, waits, onWait: (wait: ModelCallWait | undefined) => waits.push(wait) };
}

t.test('while nothing is short, no message is sent', async (t) => {
  const { one, two, slots, messages } = world(t, { maxCalls: 2 });
  for (let turn = 0; turn < 3; turn++) {
    const places = [await one.take(of('a')), await two.take(of('b'))];
    t.equal(slots.total, 2);
    for (const place of places) {
      place.answered(LIMITS(40));
      place.end();
      place.end();
    }
    t.equal(slots.total, 0);
  }
  t.same(messages, []);
});

t.test('over the bound the next one waits for an end, on another thread too', async (t) => {
  const { one, two, slots } = world(t, { maxCalls: 1 });
  const first = await one.take(of('a'));
  const asked = of('b');
  const second = two.take(asked);
  t.equal(two.tryTake(of('c')), undefined);
  first.end();
  (await second).end();
  t.equal(slots.total, 0);
  t.equal(slots.mustAsk, false);
  t.same(asked.waits, [], 'too short for a word');
});

t.test('a refusal stops all threads; behind the pause the refused one goes first', async (t) => {
  const { one, two, broker } = world(t);
  const request = of('a');
  const place = await one.take(request);
  const order: string[] = [];
  const again = place.refused(400, true).then((may) => order.push(`again ${may}`));
  const other = of('a');
  const next = two.take(other).then((taken) => {
    order.push('next');
    return taken;
  });
  t.equal(broker.waiting, 2);
  await again;
  t.match(request.waits, [{ reason: 'model_rate', retryAfterMs: Number }, undefined], 'its wait and its end are told');
  place.answered(new Headers());
  (await next).end();
  place.end();
  t.same(order, ['again true', 'next']);
});

t.test('a pause beyond the time to wait is told at once, and so are refusals without an end', async (t) => {
  const { one } = world(t, { waitMs: 5_000 });
  const place = await one.take(of('a'));
  t.equal(await place.refused(3_600_000, true), false);
  const began = performance.now();
  await t.rejects(one.take(of('b')), { code: 'ERR_MODEL', retryAfterMs: Number, message: /rate limit/ });
  t.ok(performance.now() - began < 3_000);
  const other = world(t);
  const stubborn = await other.one.take(of('a'));
  let refusals = 0;
  while (await stubborn.refused(1, true)) refusals++;
  t.equal(refusals, 8);
  t.equal(other.slots.total, 0);
});

t.test('a refusal in the middle of an answer slows the others, and is not waited for', async (t) => {
  const { one, slots, broker } = world(t);
  const place = await one.take(of('a'));
  t.equal(await place.refused(50, false), false);
  t.equal(slots.total, 0);
  t.equal(slots.mustAsk, true);
  t.equal(broker.waiting, 0);
});

t.test('who is cancelled leaves the line, whether or not the place came in the same moment', async (t) => {
  const { one, two, slots, broker } = world(t, { maxCalls: 1 });
  const first = await one.take(of('a'));
  const early = new AbortController();
  const gone = two.take(of('b', early.signal));
  early.abort();
  await t.rejects(gone, { code: 'ERR_CANCELLED' });
  t.equal(broker.waiting, 0);
  const late = new AbortController();
  const given = two.take(of('b', late.signal));
  late.abort();
  first.end();
  await t.rejects(given, { code: 'ERR_CANCELLED' });
  t.equal(slots.total, 0);
  (await one.take(of('c'))).end();
});

t.test('who waits after a refusal can be cancelled', async (t) => {
  const { one, broker } = world(t);
  const controller = new AbortController();
  const place = await one.take(of('a', controller.signal));
  const again = place.refused(5_000, true);
  controller.abort();
  await t.rejects(again, { code: 'ERR_CANCELLED' });
  t.equal(broker.waiting, 0);
});

t.test('little that remains is told, and much again once it was little', async (t) => {
  const { one, told, slots } = world(t);
  const place = await one.take(of('a'));
  place.answered(LIMITS(3));
  t.match(told, [{ model: 'm', limits: [{ kind: 'requests', limit: 50, remaining: 3, resetMs: Number }] }]);
  t.equal(slots.mustAsk, true);
  place.answered(LIMITS(45));
  t.equal(told.length, 2);
  t.equal(slots.mustAsk, false);
  place.end();
});
