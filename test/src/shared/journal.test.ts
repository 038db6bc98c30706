import { fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { isJournal, withPriority } from '../../../src/shared/journal.js';

t.test('a descriptor is the journal’s when JOURNAL_STREAM names its device and inode', (t) => {
  const folder = t.testdir();
  const journal = openSync(join(folder, 'journal'), 'w');
  const file = openSync(join(folder, 'file'), 'w');
  const { dev, ino } = fstatSync(journal, { bigint: true });
  const env = { JOURNAL_STREAM: `${dev}:${ino}` };
  t.equal(isJournal(journal, env), true);
  t.equal(isJournal(file, env), false, 'a child whose output goes to a file inherits the variable');
  t.equal(isJournal(journal, {}), false);
  t.equal(isJournal(journal, { JOURNAL_STREAM: 'nonsense' }), false);
  t.end();
});

t.test('each level has the priority that journalctl -p understands', (t) => {
  const prefixes = [10, 20, 30, 40, 50, 60].map((level) => withPriority(`{"level":${level},"msg":"x"}`).slice(0, 3));
  t.strictSame(prefixes, ['<7>', '<7>', '<6>', '<4>', '<3>', '<2>']);
  t.equal(withPriority('{"level":50,"msg":"x"}\n'), '<3>{"level":50,"msg":"x"}\n');
  t.end();
});
