import t, { type Test } from 'tap';
import { waitForPart, type PartAnswer } from '../../../src/boot/part-wait.js';
import { createLog } from '../../../src/shared/log.js';

// A wait's own timer may be all that is left.
const alive = setInterval(() => undefined, 1_000);
t.teardown(() => clearInterval(alive));

const again = { firstMs: 1, maxMs: 3 };
const away = (what: string): PartAnswer<object> => ({ state: 'away', what, todo: 'start it' });
const unfit: PartAnswer<object> = { state: 'unfit', what: 'it is read-only', todo: 'name another' };
const usable: PartAnswer<object> = { state: 'usable' };

/** A wait that gets these answers, the last one again and again. */
function waitWith(_t: Test, answers: PartAnswer<object>[], signal = new AbortController().signal) {
  const reasons: (string | undefined)[] = [];
  const said: string[] = [];
  const log = createLog('test', 'silent');
  log.warn = (text: string) => void said.push(text);
  log.info = ((_: object, text: string) => void said.push(text)) as typeof log.info;
  let asked = 0;
  const ask = async (): Promise<PartAnswer<object>> => answers[Math.min(asked++, answers.length - 1)] ?? usable;
  const onWait = (reason: string | undefined): void => void reasons.push(reason);
  const done = waitForPart({ name: 'The part', ask, log, onWait, signal, again });
  done.catch(() => undefined); // each test awaits it
  return { done, reasons, said, asked: () => asked };
}

t.test('a part that answers costs one question and no word', async (t) => {
  const { done, reasons, said, asked } = waitWith(t, [usable]);
  t.match(await done, { state: 'usable' });
  t.same([reasons, said, asked()], [[], [], 1]);
});

t.test('one that is away is asked until it answers, and each reason is told once', async (t) => {
  const { done, reasons, said } = waitWith(t, [away('refused'), away('refused'), away('loading'), usable]);
  await done;
  t.same(reasons, ['refused', 'loading', undefined]);
  t.match(said, [/^refused: start it\./, /^loading: start it\./, 'The part answers']);
});

t.test('one that nothing mends ends the start at once; after a wait only when it says so twice', async (t) => {
  await t.rejects(waitWith(t, [unfit]).done, { code: 'ERR_START', message: 'it is read-only: name another' });
  await waitWith(t, [away('refused'), unfit, usable]).done;
  const twice = waitWith(t, [away('refused'), unfit]);
  await t.rejects(twice.done, { code: 'ERR_START' });
  t.equal(twice.asked(), 3);
});

t.test('the stop of the server ends the wait with its reason', async (t) => {
  const stop = new AbortController();
  const { done, reasons } = waitWith(t, [away('refused')], stop.signal);
  while (reasons.length === 0) await new Promise((resolve) => setImmediate(resolve));
  stop.abort(new Error('stopping'));
  await t.rejects(done, { message: 'stopping' });
});

function cannotListen(): Promise<void> {
  return Promise.reject(new Error('the port is in use'));
}

t.test('a server that cannot listen does not wait', async (t) => {
  const log = createLog('test', 'silent');
  const { signal } = new AbortController();
  const done = waitForPart({ name: 'It', ask: async () => away('refused'), log, onWait: cannotListen, signal, again });
  await t.rejects(done, { message: 'the port is in use' });
});
