import t from 'tap';
import { Deadlines } from '../../../workers/agent/deadlines.js';
import { deferred } from '../../helpers/processes.js';

void t.test('deadlines fall due in the order they were set, each once, and not before their time', async (t) => {
  const deadlines = new Deadlines(30);
  t.teardown(() => deadlines.close());
  const due: string[] = [];
  const last = deferred<void>();
  const begun = Date.now();
  const { expiresAt } = deadlines.add(() => due.push('a'));
  deadlines.add(() => due.push('b'));
  deadlines.add(() => {
    due.push('c');
    last.resolve();
  });
  t.ok(expiresAt >= begun + 30);
  await last.promise;
  t.ok(Date.now() >= expiresAt);
  t.same(due, ['a', 'b', 'c']);
  t.equal(deadlines.size, 0);
});

void t.test('one that is cancelled does not fall due, and the others do', async (t) => {
  const deadlines = new Deadlines(10);
  t.teardown(() => deadlines.close());
  const due: string[] = [];
  const last = deferred<void>();
  const first = deadlines.add(() => due.push('first'));
  deadlines.add(() => {
    due.push('second');
    last.resolve();
  });
  first.cancel();
  first.cancel();
  await last.promise;
  t.same(due, ['second']);
});

void t.test('one that falls due may cancel the next and set a new one', async (t) => {
  const deadlines = new Deadlines(10);
  t.teardown(() => deadlines.close());
  const due: string[] = [];
  const last = deferred<void>();
  let next: { cancel: () => void } | undefined;
  deadlines.add(() => {
    due.push('first');
    next?.cancel();
    deadlines.add(() => {
      due.push('third');
      last.resolve();
    });
  });
  next = deadlines.add(() => due.push('second'));
  await last.promise;
  t.same(due, ['first', 'third']);
});

void t.test('after a close nothing falls due', async (t) => {
  const deadlines = new Deadlines(5);
  const other = new Deadlines(10);
  t.teardown(() => other.close());
  const later = deferred<void>();
  deadlines.add(() => t.fail('it is closed'));
  other.add(() => later.resolve());
  deadlines.close();
  await later.promise;
  t.equal(deadlines.size, 0);
});
