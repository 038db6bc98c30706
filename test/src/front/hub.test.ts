import pino from 'pino';
import t from 'tap';
import type { Agents } from '../../../src/threads/agents.js';
import { Hub, type Subscriber } from '../../../src/front/hub.js';
import { personOf } from '../../helpers/people.js';
import { deferred } from '../../helpers/processes.js';

class Listener implements Subscriber {
  open = true;
  readonly user = 'user-1';
  readonly person = personOf('user-1');
  seq = 0;
  readonly seen: string[] = [];
  onSend: () => void = () => undefined;
  send(frames: readonly { json: string }[]): void {
    this.seen.push(...frames.map(({ json }) => json));
    this.onSend();
  }
  gone(code: number): void {
    this.open = false;
    this.seen.push(`gone ${code}`);
  }
}

type Frame = { seq: number; json: string; type: string };

const frame = (seq: number, json = `e${seq}`): Frame => ({ seq, json, type: 'text' });

/** A hub over a session log that the test writes. */
function hubOver(
  log: { replay?: (after: number) => Promise<{ frames?: Frame[] }>; seqs?: Record<string, number> } = {},
): Hub {
  const request = async (_session: string, name: string, body: unknown): Promise<unknown> => {
    if (name === 'read-seqs') {
      return { seqs: (body as { sessions: string[] }).sessions.map((session) => log.seqs?.[session] ?? 0) };
    }
    return (log.replay ?? (async () => ({ frames: [] })))((body as { after: number }).after);
  };
  return new Hub({ request } as Agents, pino({ level: 'silent' }));
}

const batch = (session: string, json: string): Parameters<Hub['deliver']>[0] => [{ session, frames: [frame(0, json)] }];

t.test('events go to the session’s subscribers alone, also while one leaves', async (t) => {
  const hub = hubOver();
  const [a, b, c] = [new Listener(), new Listener(), new Listener()];
  hub.subscribe('one', a);
  hub.subscribe('one', b);
  hub.subscribe('two', c);
  a.onSend = () => hub.unsubscribe('one', a);
  hub.deliver(batch('one', 'x'));
  hub.deliver(batch('one', 'y'));
  hub.deliver(batch('nobody', 'z'));
  t.strictSame([a.seen, b.seen, c.seen], [['x'], ['x', 'y'], []]);
  t.equal(hub.sessions, 2);
});

t.test('a session that is deleted tells its subscribers and is forgotten', async (t) => {
  const hub = hubOver();
  const [a, b] = [new Listener(), new Listener()];
  hub.subscribe('one', a);
  hub.subscribe('one', b);
  t.equal(hub.subscribers('one'), 2);
  hub.gone('one', 4404, 'deleted');
  t.strictSame([a.seen, b.seen], [['gone 4404'], ['gone 4404']]);
  t.equal(hub.sessions, 0);
  hub.unsubscribe('one', a);
  t.equal(hub.sessions, 0);
});

t.test('missed events are read and sent before those that came meanwhile, each once', async (t) => {
  const asked = deferred<number>();
  const answer = deferred<{ frames: Frame[] }>();
  const hub = hubOver({
    replay: (after) => {
      asked.resolve(after);
      return answer.promise;
    },
  });
  const a = new Listener();
  hub.subscribe('one', a);
  hub.deliver([{ session: 'one', frames: [frame(1), frame(0, 'delta'), frame(4)] }]);
  t.strictSame(a.seen, ['e1', 'delta']);
  t.equal(await asked.promise, 1);
  hub.deliver([{ session: 'one', frames: [frame(5)] }]);
  answer.resolve({ frames: [frame(2), frame(3), frame(4)] });
  await new Promise(setImmediate);
  t.strictSame(a.seen, ['e1', 'delta', 'e2', 'e3', 'e4', 'e5']);
  hub.deliver([{ session: 'one', frames: [frame(4), frame(5), frame(6)] }]);
  t.strictSame(a.seen.slice(-2), ['e5', 'e6']);
  t.equal(a.seq, 6);
});

t.test('one event that is missing is enough: it is read and sent first', async (t) => {
  const asked: number[] = [];
  const hub = hubOver({
    replay: async (after) => {
      asked.push(after);
      return { frames: [frame(2)] };
    },
  });
  const a = new Listener();
  hub.subscribe('one', a);
  hub.deliver([{ session: 'one', frames: [frame(1)] }]);
  hub.deliver([{ session: 'one', frames: [frame(2)] }]);
  t.strictSame([asked, a.seen], [[], ['e1', 'e2']], 'nothing is missing: nothing is asked for');
  const b = new Listener();
  hub.subscribe('two', b);
  hub.deliver([{ session: 'two', frames: [frame(1)] }]);
  hub.deliver([{ session: 'two', frames: [frame(3)] }]);
  await new Promise(setImmediate);
  t.strictSame([asked, b.seen], [[1], ['e1', 'e2', 'e3']]);
});

t.test('a subscriber for whom more than 10,000 frames wait is told to come back', async (t) => {
  for (const [waiting, seen] of [
    [10_000, []],
    [10_001, ['gone 1001']],
  ] as const) {
    const hub = hubOver({ replay: () => new Promise(() => undefined) });
    const a = new Listener();
    hub.subscribe('one', a);
    hub.deliver([{ session: 'one', frames: [frame(2)] }]); // which waits itself
    hub.deliver([{ session: 'one', frames: Array.from({ length: waiting - 1 }, (_, index) => frame(index + 3)) }]);
    t.strictSame(a.seen, seen, `${waiting} wait`);
    t.equal(hub.sessions, seen.length === 0 ? 1 : 0);
  }
});

t.test('missed events are read once, however often the newest seq is told meanwhile', async (t) => {
  let asked = 0;
  const answer = deferred<{ frames: Frame[] }>();
  const hub = hubOver({ replay: () => (asked++, answer.promise) });
  const a = new Listener();
  hub.subscribe('one', a);
  hub.noteSeq('one', 1);
  hub.noteSeq('one', 1);
  answer.resolve({ frames: [frame(1)] });
  await new Promise(setImmediate);
  hub.noteSeq('one', 1);
  t.strictSame([asked, a.seen], [1, ['e1']]);
});

t.test('a subscriber that leaves while its missing events are read is sent nothing', async (t) => {
  for (const leaves of [false, true]) {
    const answer = deferred<{ frames: Frame[] }>();
    const hub = hubOver({ replay: () => answer.promise });
    const a = new Listener();
    hub.subscribe('one', a);
    hub.deliver([{ session: 'one', frames: [frame(2)] }]);
    if (leaves) hub.unsubscribe('one', a);
    answer.resolve({ frames: [frame(1), frame(2)] });
    await new Promise(setImmediate);
    t.strictSame(a.seen, leaves ? [] : ['e1', 'e2']);
  }
});

t.test('a subscriber whose missed events cannot be read is closed, to reconnect with its last seq', async (t) => {
  for (const replay of [async () => ({}), async () => ({ frames: [] }), () => Promise.reject(new Error('away'))]) {
    const hub = hubOver({ replay });
    const a = new Listener();
    hub.subscribe('one', a);
    hub.deliver([{ session: 'one', frames: [frame(3)] }]);
    await new Promise(setImmediate);
    t.strictSame(a.seen, ['gone 1001']);
    t.equal(hub.sessions, 0);
  }
});

t.test('after a thread has died, only subscribers of its sessions that have missed events are sent any', async (t) => {
  const hub = hubOver({ seqs: { one: 2, two: 1, three: 9 }, replay: async () => ({ frames: [frame(2)] }) });
  const [a, b, c] = [new Listener(), new Listener(), new Listener()];
  for (const each of [a, b, c]) each.seq = 1;
  hub.subscribe('one', a);
  hub.subscribe('two', b);
  hub.subscribe('three', c);
  await hub.checkAll((session) => session !== 'three');
  await new Promise(setImmediate);
  t.strictSame([a.seen, b.seen, c.seen], [['e2'], [], []]);
});
