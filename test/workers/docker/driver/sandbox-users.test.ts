import t from 'tap';
import { labelOf, readUsers, SandboxUsers } from '../../../../workers/docker/driver/sandbox-users.js';

const range = { from: 1_000_000, count: 8 };

t.test('no two containers have a user in common, and the ids of a removed one are free again', (t) => {
  const users = new SandboxUsers(range);
  const pairs = ['a', 'b', 'c', 'd'].map((name) => users.take(name));
  const ids = pairs.flatMap(({ server, runner }) => [server, runner]);
  t.same(
    ids.toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7].map((id) => range.from + id),
  );
  t.throws(() => users.take('e'), { code: 'ERR_UNAVAILABLE' });
  users.giveBack('b');
  users.giveBack('b');
  t.same(users.take('e'), pairs[1]);
  t.end();
});

t.test('a create that is tried again has the same users', (t) => {
  const users = new SandboxUsers(range);
  t.same(users.take('a'), users.take('a'));
  t.end();
});

t.test('the users of containers of an earlier run are not given again', (t) => {
  const users = new SandboxUsers(range);
  users.note('old', labelOf({ server: 1_000_002, runner: 1_000_003 }));
  users.note('older', undefined);
  users.note('of another range', '5:6');
  const given = ['a', 'b', 'c'].map((name) => users.take(name, () => 0.25).server);
  t.same(given, [1_000_004, 1_000_006, 1_000_000]);
  t.throws(() => users.take('d'), { code: 'ERR_UNAVAILABLE' });
  users.giveBack('old');
  t.equal(users.take('d').server, 1_000_002);
  t.end();
});

t.test('a label that is no pair has no users', (t) => {
  for (const label of [undefined, '', '1', '1:', '1:2:3', 'a:b', '-1:2']) t.equal(readUsers(label), undefined);
  t.same(readUsers('10:11'), { server: 10, runner: 11 });
  t.end();
});
