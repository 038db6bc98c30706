/** The lines of those who wait for the model: one user after the other, whoever came first. */
import t from 'tap';
import { RoundRobin } from '../../../../src/threads/model-calls/round-robin.js';

interface Waiter {
  user: string;
  name: string;
}

function waiters(names: readonly string[]): { line: RoundRobin<Waiter>; all: Waiter[] } {
  const line = new RoundRobin<Waiter>();
  const all = names.map((name) => ({ user: name.slice(0, 1), name }));
  for (const waiter of all) line.add(waiter);
  return { line, all };
}

function served(line: RoundRobin<Waiter>, may: (waiter: Waiter) => boolean = () => true): string {
  const names: string[] = [];
  for (let next = line.next(may); next; next = line.next(may)) {
    line.serve(next);
    names.push(next.name);
  }
  return names.join(' ');
}

t.test('users are served one by one, and a user’s own in the order in which they came', async (t) => {
  const { line } = waiters(['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'b2']);
  t.equal(line.size, 7);
  t.equal(served(line), 'a1 b1 c1 a2 b2 a3 a4');
  t.equal(line.size, 0);
});

t.test('somebody who comes late waits for one of each other user, and who comes again for another one', async (t) => {
  const { line } = waiters(Array.from({ length: 200 }, (_, index) => `a${index}`));
  const first = line.next(() => true);
  if (first) line.serve(first);
  line.add({ user: 'b', name: 'late' });
  for (const expected of ['a1', 'late', 'a2']) {
    const next = line.next(() => true);
    t.equal(next?.name, expected);
    if (next) line.serve(next);
    if (expected === 'late') line.add({ user: 'b', name: 'again' });
  }
  t.equal(line.next(() => true)?.name, 'again');
});

t.test('who may not be served is passed over, and keeps the place', async (t) => {
  const { line } = waiters(['a1', 'a2', 'b1', 'c1']);
  t.equal(
    served(line, ({ name }) => name !== 'a1' && name !== 'b1'),
    'a2 c1',
  );
  t.equal(served(line), 'b1 a1');
});

t.test('one that asks again comes before its user’s others; one that leaves is gone', async (t) => {
  const { line, all } = waiters(['a1', 'a2', 'b1']);
  line.add({ user: 'a', name: 'again' }, true);
  const [, a2, b1] = all;
  t.equal(a2 && line.ahead(a2), 3, 'again, a1 and b1');
  t.equal(b1 && line.remove(b1), true);
  t.equal(b1 && line.remove(b1), false);
  t.equal(served(line), 'again a1 a2');
});
