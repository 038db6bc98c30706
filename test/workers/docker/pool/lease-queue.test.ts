/** The queue for a sandbox: order, bound, deadlines, and no trace of callers that have left. */
import { getEventListeners } from 'node:events';
import t from 'tap';
import { FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import { LeaseQueue } from '../../../../workers/docker/pool/lease-queue.js';
import { RecentLeases } from '../../../../workers/docker/pool/recent-leases.js';

const LONG_MS = 60_000;

function caller() {
  const controller = new AbortController();
  const { signal } = controller;
  return { signal, leave: (why: Error) => controller.abort(why), listeners: () => getEventListeners(signal, 'abort') };
}

async function refusalOf(waiting: Promise<unknown>): Promise<FairleadError> {
  const error: unknown = await waiting.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isFairleadError(error)) throw new Error('was not refused', { cause: error });
  return error;
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

t.test('serves in the order in which they came', async (t) => {
  const queue = new LeaseQueue<string>(10, LONG_MS);
  const served: string[] = [];
  const callers = ['first', 'second', 'third'].map(async (name) => {
    served.push(`${name} ${await queue.wait(caller().signal, 0)}`);
  });
  t.equal(queue.length, 3);
  for (const value of ['a', 'b', 'c']) queue.next()?.resolve(value);
  await Promise.all(callers);
  t.same(served, ['first a', 'second b', 'third c']);
  t.equal(queue.length, 0);
  t.equal(queue.next(), undefined);
});

t.test('a caller that comes again goes to the end', async (t) => {
  const queue = new LeaseQueue<number>(10, LONG_MS);
  const { signal } = caller();
  const first = queue.wait(signal, 0);
  const second = queue.wait(signal, 0);
  queue.next()?.resolve(1);
  t.equal(await first, 1);
  const again = queue.wait(signal, 0);
  queue.next()?.resolve(2);
  queue.next()?.resolve(3);
  t.same(await Promise.all([second, again]), [2, 3]);
});

t.test('one more than the bound is refused at once, and a slot is free when one has left', async (t) => {
  const queue = new LeaseQueue<number>(2, LONG_MS);
  const first = queue.wait(caller().signal, 0);
  const second = queue.wait(caller().signal, 0);
  const late = caller();
  const { code, retryAfterMs } = await refusalOf(queue.wait(late.signal, 2_345.2));
  t.equal(code, 'ERR_UNAVAILABLE');
  t.equal(retryAfterMs, 2_346);
  t.equal(late.listeners().length, 0);
  t.equal(queue.length, 2);
  queue.next()?.resolve(1);
  const third = queue.wait(late.signal, 0);
  queue.next()?.resolve(2);
  queue.next()?.resolve(3);
  t.same(await Promise.all([first, second, third]), [1, 2, 3]);
});

t.test('a wait beyond the deadline is refused at once, with the time that it is too long', async (t) => {
  const queue = new LeaseQueue<number>(2, LONG_MS);
  const { signal, listeners } = caller();
  const { code, retryAfterMs } = await refusalOf(queue.wait(signal, LONG_MS + 5_000));
  t.equal(code, 'ERR_UNAVAILABLE');
  t.equal(retryAfterMs, 5_000);
  t.equal((await refusalOf(queue.wait(signal, LONG_MS + 1))).retryAfterMs, 100, 'never a storm of retries');
  t.equal(queue.length, 0);
  t.equal(listeners().length, 0);
  const waiting = queue.wait(signal, LONG_MS);
  queue.next()?.resolve(1);
  t.equal(await waiting, 1, 'exactly the deadline is in time');
});

t.test('a waiter is refused at its deadline, and those behind it move up', async (t) => {
  const queue = new LeaseQueue<number>(10, 20);
  const late = caller();
  const { code, retryAfterMs } = await refusalOf(queue.wait(late.signal, 0));
  t.equal(code, 'ERR_UNAVAILABLE');
  t.ok(retryAfterMs !== undefined && retryAfterMs >= 100);
  t.equal(queue.length, 0);
  t.equal(late.listeners().length, 0);
  t.equal(queue.next(), undefined, 'no sandbox is handed to one that has been refused');
});

t.test('a caller that aborts leaves the queue in the same step', async (t) => {
  const queue = new LeaseQueue<number>(2, LONG_MS);
  const [front, behind] = [caller(), caller()];
  const left = queue.wait(front.signal, 0);
  const waiting = queue.wait(behind.signal, 0);
  const why = new Error('the client has gone');
  front.leave(why);
  t.equal(queue.length, 1);
  const newcomer = queue.wait(caller().signal, 0);
  queue.next()?.resolve(1);
  queue.next()?.resolve(2);
  await t.rejects(left, why);
  t.same(await Promise.all([waiting, newcomer]), [1, 2]);
  t.equal(front.listeners().length + behind.listeners().length, 0);
  await t.rejects(queue.wait(AbortSignal.abort(why), 0), why);
  t.equal(queue.length, 0, 'an aborted caller takes no place');
});

t.test('leaving after being served changes nothing', async (t) => {
  const queue = new LeaseQueue<number>(2, LONG_MS);
  const { signal, leave } = caller();
  const waiting = queue.wait(signal, 0);
  const behind = queue.wait(caller().signal, 0);
  queue.next()?.resolve(1);
  leave(new Error('too late'));
  t.equal(await waiting, 1);
  t.equal(queue.length, 1);
  queue.next()?.resolve(2);
  t.equal(await behind, 2);
});

t.test('knows how many of the waiters are not greedy', async (t) => {
  const recent = new RecentLeases();
  const queue = new LeaseQueue<number>(10, LONG_MS, undefined, recent);
  recent.hold('quiet');
  for (let given = 0; given < 20; given++) recent.note('loud');
  const waiting = ['loud', 'quiet', 'loud', 'new'].map((user) => queue.wait(caller().signal, 0, user));
  t.equal(queue.modest, 2);
  queue.rejectAll(new FairleadError('ERR_DRAINING', 'stopping'));
  await Promise.allSettled(waiting);
  t.equal(queue.modest, 0);
});

t.test('all can be refused with one error, and the queue goes on', async (t) => {
  const queue = new LeaseQueue<number>(5, LONG_MS);
  const callers = Array.from({ length: 5 }, caller);
  const waiting = callers.map(({ signal }) => queue.wait(signal, 0));
  const error = new FairleadError('ERR_SANDBOX', 'the image does not start');
  queue.rejectAll(error);
  t.equal(queue.length, 0);
  for (const one of waiting) t.equal(await refusalOf(one), error);
  for (const { listeners } of callers) t.equal(listeners().length, 0);
  const later = queue.wait(caller().signal, 0);
  queue.next()?.resolve(1);
  t.equal(await later, 1);
});

t.test('some of those who wait can be refused, and the others wait on', async (t) => {
  const queue = new LeaseQueue<number>(10, LONG_MS);
  const [first, second] = ['first', 'second'].map((user) => queue.wait(caller().signal, 0, user));
  const from = performance.now();
  const keeps = ({ user, since, deadline }: { user: string; since: number; deadline: number }): boolean =>
    user === 'second' && since <= from && deadline === since + LONG_MS;
  queue.rejectUnless(keeps, new FairleadError('ERR_UNAVAILABLE', 'away'));
  t.match(await refusalOf(first ?? Promise.resolve()), { code: 'ERR_UNAVAILABLE', message: 'away' });
  t.equal(queue.length, 1);
  queue.next()?.resolve(1);
  t.equal(await second, 1);
});

t.test('reports its length with every change', async (t) => {
  const lengths: number[] = [];
  const queue = new LeaseQueue<number>(3, LONG_MS, (length) => lengths.push(length));
  const [first, second, third] = [caller(), caller(), caller()];
  const all = Promise.allSettled([first, second, third].map(({ signal }) => queue.wait(signal, 0)));
  await refusalOf(queue.wait(caller().signal, 0));
  t.same(lengths, [1, 2, 3], 'one that is refused was never in it');
  second.leave(new Error('gone'));
  queue.next()?.resolve(1);
  queue.rejectAll(new FairleadError('ERR_DRAINING', 'stopping'));
  await all;
  t.same(lengths, [1, 2, 3, 2, 1, 0]);
});

t.test('leaves no listener and no timer, however it ends', async (t) => {
  const before = timers();
  const lengths: number[] = [];
  const queue = new LeaseQueue<number>(100, LONG_MS, (length) => lengths.push(length));
  const callers = Array.from({ length: 100 }, caller);
  const all = Promise.allSettled(callers.map(({ signal }) => queue.wait(signal, 0)));
  for (const { listeners } of callers) t.equal(listeners().length, 1);
  for (const [index, { leave }] of callers.entries()) {
    if (index % 3 === 0) leave(new Error('gone'));
    if (index % 3 === 1) queue.next()?.resolve(index);
  }
  queue.rejectAll(new FairleadError('ERR_DRAINING', 'stopping'));
  await all;
  t.equal(lengths.at(-1), 0);
  t.equal(timers(), before);
  for (const { listeners } of callers) t.equal(listeners().length, 0);
});

t.test(
  'users take turns; in a round who was given fewest lately is next, and where all had the same, who came first',
  async (t) => {
    const queue = new LeaseQueue<number>(10, LONG_MS);
    for (let given = 0; given < 20; given++) queue.noteLease('loud');
    const users = ['loud', 'loud', 'a', 'loud', 'b', 'a'];
    const all = users.map((user) => queue.wait(caller().signal, 0, user));
    t.equal(queue.position('new'), 3, 'behind the first of a, and b');
    t.equal(queue.position('loud'), 7);
    for (let turn = 1; turn <= users.length; turn++) queue.next()?.resolve(turn);
    t.same(await Promise.all(all), [3, 5, 1, 6, 2, 4]);
  },
);

t.test('one with many waiters delays each other by one, whoever was given more lately', async (t) => {
  const queue = new LeaseQueue<number>(300, LONG_MS);
  for (let given = 0; given < 50; given++) queue.noteLease('busy');
  const served: string[] = [];
  const serve = (): void => {
    const next = queue.next();
    served.push(next?.user ?? 'nobody');
    next?.resolve(0);
  };
  const wait = (user: string): Promise<number> => queue.wait(caller().signal, 0, user);
  const all = [...Array.from({ length: 200 }, () => wait('many')), wait('busy')];
  for (let turn = 0; turn < 3; turn++) serve();
  all.push(wait('late'), wait('busy'));
  while (queue.length > 0) serve();
  await Promise.all(all);
  t.same(served.slice(0, 8), ['many', 'busy', 'many', 'late', 'many', 'busy', 'many', 'many']);
});

t.test(
  'in a full queue somebody who waits with fewer takes the last place of the one who waits with most',
  async (t) => {
    const queue = new LeaseQueue<number>(3, LONG_MS);
    const loud = [1, 2, 3].map(() => queue.wait(caller().signal, 0, 'loud'));
    const evicted = refusalOf(loud[2] ?? Promise.resolve());
    const quiet = queue.wait(caller().signal, 0, 'quiet');
    t.match(await evicted, { code: 'ERR_UNAVAILABLE' });
    t.match(await refusalOf(queue.wait(caller().signal, 0, 'loud')), { code: 'ERR_UNAVAILABLE' });
    t.match(
      await refusalOf(queue.wait(caller().signal, 0, 'quiet')),
      { code: 'ERR_UNAVAILABLE' },
      'two each would be no fairer',
    );
    for (let turn = 1; turn <= 3; turn++) queue.next()?.resolve(turn);
    t.same(await Promise.all([...loud.slice(0, 2), quiet]), [1, 3, 2]);
  },
);
