import t from 'tap';
import { ConnectionSlots, type StreamHolder } from '../../../../workers/agent/http/connection-slots.js';

const never = new AbortController().signal;

function holder(idle: boolean): StreamHolder & { evicted: boolean; ended: boolean } {
  const made = {
    evicted: false,
    ended: false,
    isIdle: () => idle,
    onEvict: () => void (made.evicted = true),
    onEnd: () => void (made.ended = true),
  };
  return made;
}

void t.test('calls leave slots for control requests, and get their own in order', async (t) => {
  const slots = new ConnectionSlots('it', 10);
  const held = await Promise.all(Array.from({ length: 9 }, () => slots.acquire('call', never)));
  const order: string[] = [];
  const waiting = ['first', 'second'].map((name) => slots.acquire('call', never).then(() => order.push(name)));
  const answer = await slots.acquire('control', never);
  t.same(order, [], 'an answer passes where calls wait');
  answer();
  held[0]!();
  held[0]!(); // gives back one place, however often it is called
  await waiting[0];
  t.same(order, ['first']);
  held[1]!();
  await waiting[1];
  t.same(order, ['first', 'second']);
});

void t.test('a request that is cancelled while waiting takes no slot', async (t) => {
  const slots = new ConnectionSlots('it', 2);
  const held = await slots.acquire('call', never);
  const abort = new AbortController();
  const waiting = slots.acquire('call', abort.signal);
  abort.abort(new Error('no more'));
  await t.rejects(waiting, { message: 'no more' });
  held();
  t.type(await slots.acquire('call', never), 'function');
});

void t.test('too many waiting requests are refused with a time to retry', async (t) => {
  const slots = new ConnectionSlots('it', 2);
  await slots.acquire('call', never);
  const aborts = Array.from({ length: 2_000 }, () => new AbortController());
  const waiting = aborts.map(({ signal }) => slots.acquire('call', signal).catch(() => 'cancelled'));
  await t.rejects(slots.acquire('call', never), { code: 'ERR_UNAVAILABLE', retryAfterMs: Number, sent: false });
  for (const abort of aborts) abort.abort();
  t.same(new Set(await Promise.all(waiting)), new Set(['cancelled']));
});

void t.test('an idle stream is closed when its slot is needed, a busy one is not', async (t) => {
  const slots = new ConnectionSlots('it', 6); // two streams
  const [idle, busy, third, fourth] = [holder(true), holder(false), holder(false), holder(false)];
  t.type(slots.tryStream(idle), 'function');
  t.type(slots.tryStream(busy), 'function');
  t.type(slots.tryStream(third), 'function');
  t.match(idle, { evicted: true, ended: true });
  t.equal(slots.tryStream(fourth), undefined);
  t.match(busy, { evicted: false, ended: false });
});

void t.test('no more calls get a turn than there are streams to go with them', async (t) => {
  const slots = new ConnectionSlots('it', 8); // three streams, one of them for the listener
  const turns = await Promise.all([slots.acquireTurn(never), slots.acquireTurn(never)]);
  let third = false;
  const waiting = slots.acquireTurn(never).then(() => (third = true));
  t.notOk(third);
  turns[0]();
  await waiting;
  t.ok(third);
});
