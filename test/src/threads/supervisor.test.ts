import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { parseConfig } from '../../../src/shared/config.js';
import { createLog } from '../../../src/shared/log.js';
import type { AgentHost } from '../../../src/threads/agent-life.js';
import { LoopWatch } from '../../../src/shared/threads/loop-watch.js';
import { AgentSupervisor } from '../../../src/threads/supervisor.js';
import { deferred, within } from '../../helpers/processes.js';

const WAIT_MS = 10_000;
const log = createLog('test', 'silent');

/** Serves as an agent thread does, on the wire: metrics name its thread, a sweep ends it, a session is never answered. */
const AGENT = `
  const { parentPort, threadId } = require('node:worker_threads');
  parentPort.on('message', ({ kind, id, name }) => {
    if (kind === 'notification') return name === 'close' && parentPort.close();
    if (name === 'sweep-sessions') throw new Error('it dies');
    if (name === 'get-session') return;
    const body = name === 'collect-metrics' ? { metrics: [{ threadId }] } : null;
    parentPort.postMessage({ kind: 'response', id, ok: true, body });
  });
  parentPort.postMessage({ kind: 'notification', name: 'ready', body: {} });`;
const REFUSES = `
  const { parentPort } = require('node:worker_threads');
  const body = { code: 'ERR_START', message: 'no store' };
  parentPort.postMessage({ kind: 'notification', name: 'start-failed', body });`;
/** Serves, and stands still at its first request. */
const STANDS_STILL = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', () => { for (;;); });
  parentPort.postMessage({ kind: 'notification', name: 'ready', body: {} });`;
/** Says nothing: neither that it serves nor that it does not. */
const SILENT = `require('node:worker_threads').parentPort.on('message', () => undefined);`;

interface Given {
  supervisor: AgentSupervisor;
  /** Resolves at the next restart, with the thread's index. */
  restarted: () => Promise<number>;
  /** Of each start: whether it was one after a death. */
  starts: boolean[];
}

/** `lives`: what runs in the first, the second … life; the last one is for all that follow. */
function supervise(
  t: Test,
  lives: (string | Error)[] = [AGENT],
  host: Partial<AgentHost> = {},
  restartWaitMs = WAIT_MS,
  startTimeoutMs?: number,
): Given {
  const loops = new LoopWatch({ threads: 4, hangTimeoutMs: 0 });
  t.teardown(() => loops.close());
  const starts: boolean[] = [];
  let next = deferred<number>();
  const supervisor = new AgentSupervisor({
    index: 3,
    log,
    loops,
    restartWaitMs,
    ...(startTimeoutMs === undefined ? {} : { startTimeoutMs }),
    host: {
      requests: {} as AgentHost['requests'],
      notifications: {} as AgentHost['notifications'],
      prepare: async (channel) => void (await channel.request('set-catalogue', { catalogue: {} })),
      onRestarted: (index) => {
        next.resolve(index);
        next = deferred();
      },
      ...host,
    },
    spawn: (_index, again) => {
      const life = lives[Math.min(starts.length, lives.length - 1)] ?? AGENT;
      starts.push(again);
      if (life instanceof Error) throw life;
      return new Worker(life, { eval: true, stderr: true });
    },
  });
  t.teardown(() => supervisor.close(0));
  const restarted = (): Promise<number> => within(next.promise, WAIT_MS, () => 'it was not started again');
  return { supervisor, restarted, starts };
}

async function threadId(supervisor: AgentSupervisor): Promise<unknown> {
  const { metrics } = await (await supervisor.channel()).request('collect-metrics', {});
  return (metrics[0] as { threadId: number }).threadId;
}

async function kill(t: Test, supervisor: AgentSupervisor): Promise<void> {
  const channel = await supervisor.channel();
  await t.rejects(channel.request('sweep-sessions', { limit: 1 }), { code: 'ERR_CHANNEL_CLOSED', retryAfterMs: 1_000 });
}

t.test('a thread’s end is told before another one starts in its place; one that is down is told nothing', async (t) => {
  const told: string[] = [];
  const { supervisor, restarted, starts } = supervise(t, [AGENT], {
    onEnded: (index) => {
      supervisor.notify('close', {}); // would end the thread that starts next
      told.push(`${index} after ${starts.length}`);
    },
  });
  await supervisor.start();
  const again = restarted();
  await kill(t, supervisor);
  await again.catch(() => undefined);
  await threadId(supervisor);
  t.same(told, ['3 after 1']);
  t.same(starts, [false, true]);
});

t.test('requests that come while a thread is down are answered by the next one; those in flight fail', async (t) => {
  const { supervisor, restarted, starts } = supervise(t);
  await supervisor.start();
  const first = await threadId(supervisor);
  const channel = await supervisor.channel();
  const inFlight = channel.request('get-session', { user: 'u', session: 's' }, { timeoutMs: WAIT_MS });
  const told = t.rejects(inFlight, { code: 'ERR_CHANNEL_CLOSED', retryAfterMs: 1_000 });
  const again = restarted();
  await kill(t, supervisor);
  await told;
  t.equal(supervisor.alive, false);
  const second = await threadId(supervisor);
  t.not(second, first);
  t.equal(await again, 3);
  t.equal(supervisor.alive, true);
  t.same(starts, [false, true], 'the first start is not told as a restart');
});

t.test('a request to a thread that is not back in time is ERR_UNAVAILABLE with a time to retry', async (t) => {
  const { supervisor } = supervise(t, [AGENT, new Error('EAGAIN'), new Error('EAGAIN'), SILENT], {}, 1_000);
  await supervisor.start();
  await kill(t, supervisor);
  await t.rejects(threadId(supervisor), { code: 'ERR_UNAVAILABLE', retryAfterMs: 1_000 });
  t.equal(supervisor.alive, false);
});

t.test('a restart that is refused is tried again', async (t) => {
  const { supervisor, restarted, starts } = supervise(t, [AGENT, REFUSES, new Error('EAGAIN'), AGENT]);
  await supervisor.start();
  const again = restarted();
  await kill(t, supervisor);
  await again;
  t.same(starts, [false, true, true, true]);
  await threadId(supervisor);
});

t.test('a thread that stands still before it is prepared is ended at a deadline, and another one starts', async (t) => {
  const { supervisor, restarted, starts } = supervise(t, [AGENT, STANDS_STILL, AGENT], {}, WAIT_MS, 3_000);
  await supervisor.start();
  const again = restarted();
  await kill(t, supervisor);
  await again;
  t.equal(starts.length, 3);
  t.type(await threadId(supervisor), 'number');
});

t.test('a hook that fails after a restart does not take the thread down', async (t) => {
  const called = deferred<void>();
  const onRestarted = async (): Promise<void> => {
    called.resolve();
    throw new Error('the hook fails');
  };
  const { supervisor } = supervise(t, [AGENT], { onRestarted });
  await supervisor.start();
  await kill(t, supervisor);
  await within(called.promise, WAIT_MS, () => 'the hook was not called');
  await threadId(supervisor);
});

t.test('a first start that fails says why and is not tried again', async (t) => {
  for (const busyMs of [0, 1_000]) {
    const refused = supervise(t, [REFUSES]);
    const start = refused.supervisor.start();
    // Meanwhile the thread refuses and exits: a busy event loop learns of both at once.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyMs);
    await t.rejects(start, { code: 'ERR_START', message: 'no store' }, `${busyMs} ms`);
    t.same(refused.starts, [false]);
  }
  const unprepared = supervise(t, [AGENT], { prepare: () => Promise.reject(new Error('no catalogue')) });
  await t.rejects(unprepared.supervisor.start(), { message: 'no catalogue' });
  const none = supervise(t, [new Error('no thread left')]);
  await t.rejects(none.supervisor.start(), { message: 'no thread left' });
  t.same([unprepared.starts, none.starts], [[false], [false]]);
});

t.test('once closed it answers nobody and restarts nothing, whatever it was doing', async (t) => {
  const serving = supervise(t);
  await serving.supervisor.start();
  await serving.supervisor.close(WAIT_MS);
  await t.rejects(threadId(serving.supervisor), { code: 'ERR_CHANNEL_CLOSED' });
  const down = supervise(t, [AGENT, new Error('EAGAIN')]);
  await down.supervisor.start();
  await kill(t, down.supervisor);
  const waiting = t.rejects(threadId(down.supervisor), { code: 'ERR_CHANNEL_CLOSED' });
  await down.supervisor.close(WAIT_MS);
  await waiting;
  t.equal(serving.starts.length, 1);
});

t.test('a thread that hangs is terminated at the deadline of the close', async (t) => {
  const deaf = `${AGENT} parentPort.on('message', ({ name }) => { if (name === 'get-session') for (;;); });`;
  const { supervisor } = supervise(t, [deaf]);
  await supervisor.start();
  const hung = (await supervisor.channel()).request('get-session', { user: 'u', session: 's' });
  await Promise.all([t.rejects(hung, { code: 'ERR_CHANNEL_CLOSED' }), supervisor.close(100)]);
  t.equal(supervisor.alive, false);
});

t.test('limits that no thread could keep are refused in the configuration', async (t) => {
  for (const [key, value] of Object.entries({ hangTimeoutMs: 199, maxHeapMb: 95 })) {
    const given = { agents: { [key]: value } };
    t.throws(() => parseConfig(given, {}), { code: 'ERR_CONFIG', problems: [{ path: `agents.${key}` }] });
  }
  t.match(parseConfig({ agents: { hangTimeoutMs: 200, maxHeapMb: 96 } }, {}).agents, { spare: true });
});
