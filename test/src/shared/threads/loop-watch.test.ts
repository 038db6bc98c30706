import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { agentSlot, DOCKER_SLOT, LoopWatch, startBeat } from '../../../../src/shared/threads/loop-watch.js';
import { deferred, within } from '../../../helpers/processes.js';

const MODULE = new URL('../../../../src/shared/threads/loop-watch.js', import.meta.url).href;
const WAIT_MS = 10_000;
const SLOT = agentSlot(0);

function open(t: Test, hangTimeoutMs: number): LoopWatch {
  const loops = new LoopWatch({ threads: 1, hangTimeoutMs });
  t.teardown(() => loops.close());
  return loops;
}

/** A thread that beats, and stands still for so long when it is told to. */
async function thread(t: Test): Promise<{ stall: (ms: number) => void; turns: () => Promise<unknown> }> {
  const worker = new Worker(
    `import { parentPort } from 'node:worker_threads';
     import { startBeat } from ${JSON.stringify(MODULE)};
     startBeat(${SLOT});
     const still = new Int32Array(new SharedArrayBuffer(4));
     parentPort.on('message', (ms) => {
       Atomics.wait(still, 0, 0, ms);
       parentPort.postMessage('turns');
     });
     parentPort.postMessage('up');`,
    { eval: true, execArgv: ['--input-type=module'] },
  );
  t.teardown(() => worker.terminate());
  await once(worker, 'message');
  return { stall: (ms) => worker.postMessage(ms), turns: () => once(worker, 'message') };
}

/** What `watch` calls. */
function hang(): { called: (hungMs: number) => void; hungMs: Promise<number>; times: () => number } {
  const told = deferred<number>();
  let times = 0;
  const called = (hungMs: number): void => {
    times++;
    told.resolve(hungMs);
  };
  return { called, hungMs: within(told.promise, WAIT_MS, () => 'nobody was said to hang'), times: () => times };
}

/** Until the watch has looked so many times. */
async function looks(beatMs: number, count: number): Promise<void> {
  const look = deferred<void>();
  let left = count;
  const timer = setInterval(() => --left === 0 && look.resolve(), beatMs);
  await look.promise;
  clearInterval(timer);
}

t.test('a loop that hangs is reported once, with the time; when it turns it is healthy again', async (t) => {
  const loops = open(t, 400);
  const { stall, turns } = await thread(t);
  const { called, hungMs, times } = hang();
  loops.watch(SLOT, called);
  t.equal(loops.healthy, true);
  stall(1_200);
  t.ok((await hungMs) >= 400);
  t.equal(loops.healthy, false);
  await turns();
  await looks(100, 3);
  t.equal(times(), 1);
  t.equal(loops.healthy, true);
});

t.test('a loop that turns is never reported, and neither is one that is no longer watched', async (t) => {
  const loops = open(t, 200);
  await thread(t);
  const turning = hang();
  turning.hungMs.catch(() => undefined);
  loops.watch(SLOT, turning.called);
  const ended = hang();
  ended.hungMs.catch(() => undefined);
  loops.watch(DOCKER_SLOT, ended.called).end();
  await looks(50, 12);
  t.equal(turning.times(), 0);
  t.equal(ended.times(), 0);
  t.equal(loops.healthy, true);
});

t.test('a thread that starts later is not judged before its first beat', async (t) => {
  const loops = open(t, 200);
  const { called, hungMs } = hang();
  const quiet = hang();
  quiet.hungMs.catch(() => undefined);
  loops.watch(DOCKER_SLOT, quiet.called, { begun: false });
  loops.watch(SLOT, called, { begun: true });
  await hungMs; // as long as it takes
  t.equal(quiet.times(), 0);
});

t.test('after a hang of the main thread the others get a new period', async (t) => {
  const loops = open(t, 400);
  const beat = startBeat(SLOT); // in this thread: it stands still with it, as all do when the process is stopped
  t.teardown(() => beat.close());
  const { called, hungMs, times } = hang();
  loops.watch(SLOT, called);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
  await looks(100, 3);
  t.equal(times(), 0);
  beat.close();
  t.ok((await hungMs) >= 400);
});

t.test('without a limit nobody is told, but health is known', async (t) => {
  const loops = open(t, 0);
  const { called, hungMs, times } = hang();
  hungMs.catch(() => undefined);
  loops.watch(SLOT, called);
  const unhealthy = deferred<void>();
  const timer = setInterval(() => !loops.healthy && unhealthy.resolve(), 50);
  t.teardown(() => clearInterval(timer));
  await within(unhealthy.promise, WAIT_MS, () => 'a loop without a beat is healthy');
  t.equal(times(), 0);
});

t.test('without a LoopWatch a beat does nothing', (t) => {
  const beat = startBeat(SLOT);
  beat.close();
  t.end();
});

t.test('a loop that stands still for half of the limit is told once, before it counts as hanging', async (t) => {
  const loops = open(t, 400);
  const { stall, turns } = await thread(t);
  const { called, hungMs } = hang();
  const order: string[] = [];
  const wrapped = (ms: number): void => {
    order.push('hangs');
    called(ms);
  };
  loops.watch(SLOT, wrapped, { onSlow: () => void order.push('slow') });
  const turned = turns();
  stall(1_500);
  await hungMs;
  t.same(order, ['slow', 'hangs']);
  await turned;
});
