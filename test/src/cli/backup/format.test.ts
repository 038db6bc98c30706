import t from 'tap';
import { isCopied, isKnown, isNewer, pathInData } from '../../../../src/cli/backup/format.js';
import { decodeRecords, encodeRecord } from '../../../../src/cli/backup/redis-records.js';

t.test('only names that a backup has are known, and none of them leads out of the data folder', (t) => {
  const known = [
    'data/instance',
    'data/token',
    'data/workspaces/MJ3EFvyPSDjyiygLQq-gYdqn~workspace.tar.lz4',
    'data/workspaces/-J3EFvyPSDjyiygLQq-gYdqn~workspace.tar.lz4',
    'data/workspaces/s~w.tar.lz4.broken-1',
    'data/audit/000000000001-2026-11-30.jsonl',
    'data/leases/fairlead-0123-4',
    'store/lmdb/data.mdb',
    'store/redis/00000001.dump',
    'config/fairlead.json',
  ];
  for (const name of known) t.ok(isKnown(name), name);
  const others = [
    'data/../instance',
    'data/workspaces/../../etc/passwd',
    'data/workspaces/.hidden',
    'data/workspaces/..',
    'data/workspaces/',
    'data/workspaces/a/b',
    'data/store/data.mdb',
    'data/server.sock',
    '/etc/passwd',
    '../data/instance',
    'data//instance',
    'data/instance\u0000',
    'data/audit/a\nb',
    'store/redis/1.dump',
    '',
  ];
  for (const name of others) t.notOk(isKnown(name), JSON.stringify(name));
  t.equal(pathInData('store/lmdb/data.mdb'), 'store/data.mdb');
  t.equal(pathInData('data/leases/x'), 'leases/x');
  t.equal(pathInData('config/fairlead.json'), undefined);
  t.end();
});

t.test('what is being written is not copied', (t) => {
  t.ok(isCopied('workspaces', 's~w.tar.lz4'));
  t.notOk(isCopied('workspaces', 's~w.tar.lz4.tmp'));
  t.ok(isCopied('leases', 'fairlead-1'));
  t.notOk(isCopied('leases', 'fairlead-1~new'));
  t.end();
});

t.test('versions are compared by their numbers', (t) => {
  t.ok(isNewer('0.10.0', '0.9.9'));
  t.ok(isNewer('1.0.0', '0.9.9'));
  t.notOk(isNewer('0.2.0', '0.2.0'));
  t.notOk(isNewer('0.2.0-rc.1', '0.2.0'));
  t.notOk(isNewer('0.1.9', '0.2.0'));
  t.end();
});

t.test('keys of Redis come back as they were, and bytes that are none are told', (t) => {
  const records = [
    { key: Buffer.from('fairlead:sessions'), expiresAt: 0, dump: Buffer.from([0, 255, 1]) },
    { key: Buffer.from('fairlead:secret:ü'), expiresAt: 1_800_000_000_000, dump: Buffer.alloc(0) },
  ];
  const bytes = Buffer.concat(records.map(encodeRecord));
  t.same(decodeRecords(bytes), records);
  t.same(decodeRecords(Buffer.alloc(0)), []);
  t.equal(decodeRecords(bytes.subarray(0, -1)), undefined);
  t.equal(decodeRecords(Buffer.concat([bytes, Buffer.from([1])])), undefined);
  t.end();
});
