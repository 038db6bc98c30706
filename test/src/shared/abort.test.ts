import t from 'tap';
import { abortable, atMost, onAbort, pending, untilAborted, withDeadline } from '../../../src/shared/abort.js';
import { getEventListeners } from 'node:events';

const never = new Promise<never>(() => undefined);
const late = (): Error => new Error('late');

t.test('a wait ends with the reason of its signal, and leaves no listener behind', async (t) => {
  const controller = new AbortController();
  const waiting = untilAborted(controller.signal, () => never);
  t.equal(getEventListeners(controller.signal, 'abort').length, 1);
  controller.abort(new Error('enough'));
  await t.rejects(waiting, { message: 'enough' });
  const other = new AbortController();
  t.equal(await untilAborted(other.signal, async () => 1), 1);
  t.equal(getEventListeners(other.signal, 'abort').length, 0);
});

t.test('work does not start for a caller who has gone', async (t) => {
  let started = false;
  const work = async (): Promise<void> => void (started = true);
  const signal = AbortSignal.abort(new Error('gone'));
  await t.rejects(untilAborted(signal, work), { message: 'gone' });
  await t.rejects(abortable(work, signal), { code: 'ERR_CANCELLED' });
  await t.rejects(withDeadline({ timeoutMs: 1_000, late, signal }, work), { message: 'gone' });
  t.equal(started, false);
});

t.test('at the deadline the work’s signal aborts and the caller gets the error', async (t) => {
  let told: AbortSignal | undefined;
  const waiting = withDeadline({ timeoutMs: 1, late }, (signal) => ((told = signal), never));
  await t.rejects(waiting, { message: 'late' });
  t.equal(told?.aborted, true);
});

t.test('work that is done in time is not cut later', async (t) => {
  let told: AbortSignal | undefined;
  const caller = new AbortController();
  await withDeadline({ timeoutMs: 60_000, late, signal: caller.signal }, async (signal) => void (told = signal));
  caller.abort();
  t.equal(told?.aborted, false);
});

t.test('a bounded wait says whether the work was done in time', async (t) => {
  t.equal(await atMost(1, never), false);
  t.equal(await atMost(60_000, Promise.resolve()), true);
  await t.rejects(atMost(60_000, Promise.reject(new Error('failed'))), { message: 'failed' });
});

t.test('a listener is called at once if the signal has aborted, and can be removed', async (t) => {
  let calls = 0;
  onAbort(AbortSignal.abort(), () => calls++);
  t.equal(calls, 1);
  const controller = new AbortController();
  onAbort(controller.signal, () => calls++)();
  controller.abort();
  t.equal(calls, 1);
  onAbort(undefined, () => calls++)();
  t.equal(calls, 1);
});

t.test('a rejection that nobody waits for is no crash', async (t) => {
  const { promise, reject } = pending<void>();
  reject(new Error('nobody'));
  await new Promise((resolve) => setImmediate(resolve));
  await t.rejects(promise, { message: 'nobody' });
});
