import t from 'tap';
import { Hub, type Subscriber } from '../../../src/front/hub.js';

class Listener implements Subscriber {
  open = true;
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

const batch = (session: string, json: string): Parameters<Hub['deliver']>[0] => [
  { session, frames: [{ seq: 1, json }] },
];

t.test('events go to the session’s subscribers alone, also while one leaves', async (t) => {
  const hub = new Hub();
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

t.test('a session that is gone tells its subscribers and is forgotten', async (t) => {
  const hub = new Hub();
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
