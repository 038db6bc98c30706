import t from 'tap';
import { agoOf, bytesOf, parseBytes, sessionsText, table, usersText } from '../../../../src/cli/admin/admin-text.js';

t.test('sizes and ages are told in one short unit', async (t) => {
  t.same([0, 999, 1_000, 1_500_000, 12_345_678, 3e15].map(bytesOf), [
    '0 B',
    '999 B',
    '1.0 KB',
    '1.5 MB',
    '12 MB',
    '3000 TB',
  ]);
  t.same(
    [0, 59_999, 60_000, 3_600_000, 2 * 86_400_000].map((ms) => agoOf(0, ms)),
    ['0s', '59s', '1m', '1h', '2d'],
  );
  t.equal(agoOf(10, 0), '0s', 'a clock that runs ahead');
});

t.test('a size is read with its unit, and what is none is refused', async (t) => {
  t.same(['10MB', '512kB', '1.5 GB', '7', '2b'].map(parseBytes), [10_000_000, 512_000, 1_500_000_000, 7, 2]);
  for (const text of ['', 'ten', '-1', '1XB', '1e9', '1 000']) t.equal(parseBytes(text), undefined, text);
});

t.test('a name with a line break or an escape sequence stays in its cell', async (t) => {
  const text = table(['USER'], [['a\nb'], ['\u001B[2Jx']]);
  t.equal(text.split('\n').length, 4);
  t.notMatch(text, '\u001B');
});

t.test('a session is waiting when its user is asked, running when a turn is open, else idle', async (t) => {
  const session = { user: 'ada', model: 'm', createdAt: 0, lastActiveAt: 0, turns: 1, server: 'here' };
  const text = sessionsText(
    [
      { ...session, session: 's1', running: true, queued: 0, pending: 1 },
      { ...session, session: 's2', running: false, queued: 1, pending: 0 },
      { ...session, session: 's3', running: false, queued: 0, pending: 0, historyBytes: 2_000 },
    ],
    60_000,
  );
  for (const line of [/^s1 +ada +waiting +1m/m, /^s2 +ada +running/m, /^s3 +ada +idle +1m +1m +1 +2\.0 KB/m])
    t.match(text, line);
  t.equal(sessionsText([], 0), 'no session fits\n');
});

t.test('a user’s line says what they have, when they were last seen, and why they are kept out', async (t) => {
  const user = { sessions: 0, sockets: 0, tokens: 0 };
  const text = usersText(
    [
      { ...user, user: 'ada', sessions: 3, sockets: 1, tokens: 2, lastSeenAt: 0 },
      { ...user, user: 'bob', blocked: { since: 0, by: 'root' } },
      { ...user, user: 'cy', blocked: { since: 0, by: 'root' }, deleting: { since: 0, by: 'root' } },
    ],
    60_000,
  );
  for (const line of [/^ada +3 +1 +2 +1m ago$/m, /^bob +0 +0 +0 +never +1m ago by root$/m, /^cy .* is being deleted$/m])
    t.match(text, line);
  t.equal(usersText([], 0), 'no user is known\n');
});
