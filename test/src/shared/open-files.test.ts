import { spawnSync } from 'node:child_process';
import t from 'tap';
import { openFilesLimit, openFilesWarning, parseOpenFiles } from '../../../src/shared/open-files.js';

t.test('the hard limit of a process is what Linux says of it', (t) => {
  const { stdout } = spawnSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' });
  const limit = stdout.trim() === 'unlimited' ? Number.POSITIVE_INFINITY : Number(stdout);
  t.equal(openFilesLimit(), limit);
  t.equal(parseOpenFiles('Max open files            1024                 unlimited            files\n'), Infinity);
  t.equal(parseOpenFiles('Max open files            1024                 4096                 files\n'), 4_096);
  t.equal(openFilesLimit(2 ** 30), undefined, 'no such process');
  t.end();
});

t.test('a limit below what is wanted is a warning with both numbers', (t) => {
  t.match(openFilesWarning(4_096, 100_000), /may open 4096 files, and 65536 are wanted.*LimitNOFILE/);
  t.equal(openFilesWarning(65_536, 100_000), undefined);
  t.equal(openFilesWarning(4_096, 1_000), undefined, 'no more may connect');
  t.equal(openFilesWarning(undefined, 100_000), undefined, 'the system does not say');
  t.end();
});
