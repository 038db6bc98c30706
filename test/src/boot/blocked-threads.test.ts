/** A block reaches threads that answer late, wrongly or never. The threads are real. */
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { BlockedThreads } from '../../../src/boot/blocked-threads.js';
import { LoopWatch } from '../../../src/shared/threads/loop-watch.js';
import { createLog } from '../../../src/shared/log.js';
import type { AgentHost } from '../../../src/threads/agent-life.js';
import { AgentSupervisor } from '../../../src/threads/supervisor.js';
import { deferred, within } from '../../helpers/processes.js';

const log = createLog('test', 'silent');
const WAIT_MS = 30_000;

/** Serves as an agent thread does, on the wire; `answer` gets how often it was asked, and undefined is no answer. */
const agent = (answer: string): string => `
  const { parentPort } = require('node:worker_threads');
  let asked = 0;
  const answer = ${answer};
  parentPort.on('message', ({ kind, id, name, body: { users } = {} }) => {
    if (kind === 'notification') return name === 'close' && parentPort.close();
    const body = name === 'set-blocked' ? answer(++asked, users) : null;
    if (body !== undefined) parentPort.postMessage({ kind: 'response', id, ok: true, body });
  });
  parentPort.postMessage({ kind: 'notification', name: 'ready', body: {} });`;

interface World {
  blocked: BlockedThreads;
  users: string[];
  /** Lists that threads were sent, those at their start too. */
  told: string[][];
  starts: () => number;
  restarted: () => Promise<void>;
}

/** `lives`: what the thread says in its first, second … life. */
async function world(t: Test, ...lives: string[]): Promise<World> {
  const users = ['ada'];
  const told: string[][] = [];
  let starts = 0;
  const again = deferred<void>();
  const loops = new LoopWatch({ threads: 1, hangTimeoutMs: 0 });
  t.teardown(() => loops.close());
  const supervisor = new AgentSupervisor({
    index: 0,
    log,
    loops,
    host: {
      requests: {} as AgentHost['requests'],
      notifications: {} as AgentHost['notifications'],
      prepare: async (channel) => {
        told.push([...users]);
        await channel.request('set-catalogue', { catalogue: {} });
      },
      onRestarted: () => again.resolve(),
    },
    spawn: () => new Worker(lives[Math.min(starts++, lives.length - 1)]!, { eval: true }),
  });
  t.teardown(() => supervisor.close(0));
  await supervisor.start();
  const blocked = new BlockedThreads({
    agents: {
      size: 1,
      ask: async (_index, name, body, options) => {
        if (name === 'set-blocked') told.push([...(body as { users: string[] }).users]);
        return supervisor.alive ? (await supervisor.channel()).request(name, body, options) : undefined;
      },
      replace: () => supervisor.replace(),
    },
    users: () => users,
    log,
    answerMs: 200,
    againMs: 1,
  });
  t.teardown(() => blocked.close());
  const restarted = (): Promise<void> => within(again.promise, WAIT_MS, () => 'it is not started again');
  return { blocked, users, told, starts: () => starts, restarted };
}

t.test('a thread with a turn left is asked again until none is, and is not replaced for that', async (t) => {
  const { blocked, told, starts } = await world(t, agent('(asked) => ({ left: asked < 3 ? 1 : 0 })'));
  await blocked.tell();
  t.same(told, [['ada'], ['ada'], ['ada'], ['ada']]);
  t.equal(starts(), 1);
});

t.test('a thread that does not answer, or whose turns never stop, is replaced', async (t) => {
  for (const answer of ['() => undefined', '() => ({ left: 1 })']) {
    const { blocked, starts, restarted, told } = await world(t, agent(answer), agent('() => ({ left: 0 })'));
    await blocked.tell();
    await restarted();
    t.equal(starts(), 2, answer);
    t.same(told.at(-1), ['ada'], 'its successor has the list before it serves');
  }
});

t.test('a block that comes while a thread is being told is told, too', async (t) => {
  const { blocked, users, told } = await world(t, agent('(asked) => ({ left: 0 })'));
  const first = blocked.tell();
  users.push('bob');
  const second = blocked.tell();
  await Promise.all([first, second]);
  t.same(told.at(-1), ['ada', 'bob']);
});

t.test('whoever is let in again does not wait for the turns of others to stop', async (t) => {
  const { blocked, users, told } = await world(t, agent('(asked) => (asked === 1 ? undefined : { left: 0 })'));
  const first = blocked.tell();
  users.pop();
  const second = blocked.tell();
  t.same(told.at(-1), [], 'it is sent before the list before was answered');
  await Promise.all([first, second]);
  t.same(told.at(-1), []);
});

t.test('a thread that has ended is not waited for', async (t) => {
  const dying = agent("() => { throw new Error('it dies'); }");
  const { blocked, restarted } = await world(t, dying, agent('() => ({ left: 0 })'));
  await blocked.tell();
  await restarted();
});
