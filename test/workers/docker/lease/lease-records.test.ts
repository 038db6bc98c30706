import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { createLog } from '../../../../src/shared/log.js';
import { LeaseRecords, type LeaseRecord } from '../../../../workers/docker/lease/lease-records.js';

const log = createLog('test', 'silent');
const record: LeaseRecord = { session: 's-1', server: 'workspace', generation: 2, restoring: false };

function open(folder: string): LeaseRecords {
  const records = new LeaseRecords(join(folder, 'leases'), log);
  records.load();
  return records;
}

t.test('what one run has written the next one reads, from files that only their owner can read', async (t) => {
  const folder = t.testdir();
  const records = open(folder);
  records.write('one', record);
  records.write('two', { ...record, restoring: true });
  records.write('two', { ...record, session: 's-2', generation: 3 });
  t.same(
    open(folder).read(),
    new Map([
      ['one', record],
      ['two', { ...record, session: 's-2', generation: 3 }],
    ]),
  );
  t.equal((await stat(join(folder, 'leases'))).mode & 0o777, 0o700);
  t.equal((await stat(join(folder, 'leases', 'one'))).mode & 0o777, 0o600);
  records.remove('one');
  records.remove('one');
  t.same([...open(folder).read().keys()], ['two']);
});

t.test('an ended, torn or foreign record means a leased sandbox of an unknown session', async (t) => {
  const folder = t.testdir();
  const records = open(folder);
  records.write('ended', record);
  records.end('ended');
  const bad = {
    torn: '{"session":"s-1","serv',
    list: '[]',
    path: JSON.stringify({ ...record, session: '../s' }),
    later: JSON.stringify({ ...record, more: 1 }),
    negative: JSON.stringify({ ...record, generation: -1 }),
  };
  for (const [name, text] of Object.entries(bad)) await writeFile(join(folder, 'leases', name), text);
  await mkdir(join(folder, 'leases', 'folder'));
  const read = open(folder).read();
  t.same([...read.keys()].sort(), ['ended', ...Object.keys(bad)].sort());
  for (const [name, value] of read) t.equal(value, undefined, name);
  t.equal(await readFile(join(folder, 'leases', 'ended'), 'utf8'), '');
});

t.test('a lease that cannot be recorded is ERR_SANDBOX, and leaves nothing', async (t) => {
  const folder = t.testdir();
  const records = open(folder);
  await mkdir(join(folder, 'leases', 'taken'));
  t.throws(() => records.write('taken', record), { code: 'ERR_SANDBOX' });
  records.end('taken');
  t.same(await readdir(join(folder, 'leases')), ['taken']);
  t.same(records.read(), new Map());
  const file = join(folder, 'file');
  await writeFile(file, '');
  await chmod(file, 0o600);
  const broken = new LeaseRecords(join(file, 'leases'), log);
  t.throws(() => broken.load(), { code: 'ERR_SANDBOX' });
  t.throws(() => broken.read(), { code: 'ERR_SANDBOX' });
});
