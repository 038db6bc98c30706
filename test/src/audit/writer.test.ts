/** The writer on real files and a real full disk: a chain without a gap, and a word where something is missing. */
import { appendFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { auditFolder, headFile, readHead } from '../../../src/audit/files.js';
import { AuditQueue } from '../../../src/audit/queue.js';
import { verifyLog } from '../../../src/audit/verify.js';
import { mountSmallDisk } from '../../helpers/small-disk.js';
import { until } from '../../helpers/until.js';
import { auditKit, entryOf, message } from './audit-kit.js';

const IN_TIME = { timeoutMs: 20_000 };

t.test('the chain goes on across files and restarts, and nobody else may read it', async (t) => {
  const kit = auditKit(t);
  for (let start = 0; start < 3; start++) {
    const writer = kit.open({ maxFileBytes: 1_000 });
    for (let n = 0; n < 10; n++) {
      writer.post(message(n));
      await writer.flush();
    }
    await writer.close();
  }
  t.ok(kit.files().length > 3, kit.files().join(' '));
  t.same(
    kit.entries().map(({ n }) => n),
    Array.from({ length: 30 }, (_, index) => index + 1),
  );
  const verdict = await verifyLog(kit.dataDir);
  t.match(verdict, { entries: 30, first: 1, last: { n: 30 }, head: { n: 30 } });
  t.equal(verdict.break, undefined);
  for (const name of kit.files()) t.equal(statSync(join(auditFolder(kit.dataDir), name)).mode & 0o777, 0o600);
  t.equal(statSync(auditFolder(kit.dataDir)).mode & 0o777, 0o700);
  t.equal(statSync(headFile(kit.dataDir)).mode & 0o777, 0o600);
});

t.test('a new file begins each day', async (t) => {
  const kit = auditKit(t);
  let day = '2026-11-30';
  const writer = kit.open({ today: () => day });
  writer.post(message(1));
  await writer.flush();
  day = '2026-12-01';
  writer.post(message(2));
  await writer.flush();
  day = '2026-11-30'; // a clock that is put back makes no new file
  writer.post(message(3));
  await writer.flush();
  t.same(kit.files(), ['000000000001-2026-11-30.jsonl', '000000000002-2026-12-01.jsonl']);
  t.equal((await verifyLog(kit.dataDir)).break, undefined);
});

t.test('files that are older than they are kept go, and the log says so', async (t) => {
  const kit = auditKit(t);
  const now = Date.now();
  const dayOf = (back: number): string => new Date(now - back * 86_400_000).toISOString().slice(0, 10);
  for (const back of [9, 8, 1]) {
    const writer = kit.open({ today: () => dayOf(back) });
    writer.post(message(back));
    await writer.close();
  }
  const writer = kit.open({ keepDays: 7 });
  writer.post(message(0));
  await writer.close();
  t.match(kit.entries(), [
    { n: 3, what: 'message_accepted' },
    { n: 4, what: 'audit_removed', about: { through: 2, files: 2 } },
    { n: 5, what: 'message_accepted' },
  ]);
  const verdict = await verifyLog(kit.dataDir);
  t.equal(verdict.break, undefined);
  t.equal(verdict.first, 3);
});

t.test('with sync each, an entry is on the disk when its caller goes on', async (t) => {
  const kit = auditKit(t);
  const writer = kit.open({ sync: 'each' });
  await Promise.all(Array.from({ length: 20 }, (_, n) => writer.stored(message(n))));
  t.match(await readHead(headFile(kit.dataDir)), { n: 20 }, 'the head names only what was synced');
  await writer.stored(message(21));
  t.match(await readHead(headFile(kit.dataDir)), { n: 21 });
});

t.test('a line that a kill cut off stays where it is, and the log goes on in a new file', async (t) => {
  const kit = auditKit(t);
  const first = kit.open();
  for (let n = 0; n < 3; n++) first.post(message(n));
  await first.close();
  appendFileSync(join(auditFolder(kit.dataDir), kit.files()[0]!), '{"n":4,"at":"2026');
  const second = kit.open();
  second.post(message(4));
  await second.close();
  t.equal(kit.files().length, 2);
  t.match(await verifyLog(kit.dataDir), { entries: 4, last: { n: 4 } });
  t.equal((await verifyLog(kit.dataDir)).break, undefined);
  t.match(kit.logged.join(''), 'a line was being written when the server was killed');
});

t.test('entries that were removed while no server ran are missed at the next start', async (t) => {
  const kit = auditKit(t);
  const first = kit.open();
  for (let n = 0; n < 5; n++) {
    first.post(message(n));
    await first.flush();
  }
  await first.close();
  const file = join(auditFolder(kit.dataDir), kit.files()[0]!);
  const lines = kit.lines();
  truncateSync(file, Buffer.byteLength(`${lines.slice(0, 3).join('\n')}\n`));
  t.match(await verifyLog(kit.dataDir), { break: { damage: 'missing', line: 4, n: 4 } });
  const second = kit.open();
  second.post(message(6));
  await second.close();
  t.match(kit.entries().slice(3), [{ n: 6, what: 'audit_missing', about: { from: 4, to: 5 } }, { n: 7 }]);
  t.match(await verifyLog(kit.dataDir), { break: undefined, admitted: [{ why: /entries 4 to 5/, saidBy: 6 }] });
});

t.test('a folder that is removed while it is written is missed, and the next entries are kept', async (t) => {
  const kit = auditKit(t);
  const writer = kit.open({ sync: 'each' });
  await writer.stored(message(1));
  rmSync(auditFolder(kit.dataDir), { recursive: true });
  await until(
    'it is noticed',
    async () => {
      await writer.stored(message(2));
      return kit.logged.join('').includes('was removed while it was written');
    },
    IN_TIME,
  );
  await writer.stored(message(3));
  await writer.close();
  t.match(kit.entries()[0], { what: 'audit_missing', about: { why: /was removed/ } });
  t.match(await verifyLog(kit.dataDir), { break: undefined, admitted: [{ damage: 'missing' }] });
});

t.test('what somebody else appends while the server runs stands out', async (t) => {
  const kit = auditKit(t);
  const writer = kit.open({ sync: 'each' });
  await writer.stored(message(1));
  const file = join(auditFolder(kit.dataDir), kit.files()[0]!);
  appendFileSync(file, `${kit.lines()[0]!.replace('"n":1', '"n":2')}\n`);
  await until(
    'it is noticed',
    async () => {
      await writer.stored(message(2));
      return kit.files().length === 2;
    },
    IN_TIME,
  );
  await writer.close();
  t.match(await verifyLog(kit.dataDir), { break: { line: 2, damage: /inserted|edited/ } });
});

for (const onFailure of ['refuse', 'continue'] as const) {
  t.test(`a full disk, with ${onFailure}: the gate, what is missing, and the entries after it`, async (t) => {
    const disk = mountSmallDisk(256);
    t.teardown(() => disk.remove());
    const kit = auditKit(t, disk.dir);
    const writer = kit.open({ sync: 'each', onFailure, queue: new AuditQueue(20_000) });
    await writer.stored(message(0));
    disk.fill();
    const failed = async (): Promise<boolean> => {
      const outcome = await writer.stored(message(1)).then(
        () => 'kept',
        (error: { code: string }) => error.code,
      );
      if (onFailure === 'refuse' && outcome !== 'kept') t.equal(outcome, 'ERR_UNAVAILABLE');
      return kit.logged.join('').includes('it cannot be written');
    };
    await until('the page that was there is full', failed, IN_TIME);
    if (onFailure === 'refuse') t.match(kit.gate.get('audit'), 'ENOSPC');
    else {
      t.equal(kit.gate.size, 0);
      await writer.stored(message(2));
      t.pass('work goes on without its entry');
    }
    for (let n = 0; n < 500; n++) writer.post(message(n));
    t.ok(writer.counts.missing > 0, `${writer.counts.missing} had no room`);
    disk.empty();
    await until('it goes on by itself', () => writer.counts.waiting === 0 && kit.gate.size === 0, IN_TIME);
    await writer.stored(entryOf({ what: 'login', user: 'bob' }));
    await writer.close();
    const verdict = await verifyLog(kit.dataDir);
    t.equal(verdict.break, undefined, 'the chain has no gap');
    const entries = kit.entries();
    t.match(
      entries.find(({ what }) => what === 'audit_failed'),
      { about: { why: 'ENOSPC', onFailure } },
    );
    const told = entries.find(({ what }) => what === 'audit_missing')?.['about'] as { entries: number };
    t.equal(told.entries, writer.counts.missing, 'and it says how many are missing');
    t.match(entries.at(-1), { what: 'login', user: 'bob' });
  });
}

t.test('a folder that cannot be written at the start is tried again', async (t) => {
  const disk = mountSmallDisk(64);
  t.teardown(() => disk.remove());
  disk.fill();
  const kit = auditKit(t, join(disk.dir, 'data'));
  const writer = kit.open();
  writer.post(message(1));
  await until('the gate is closed', () => kit.gate.size === 1, IN_TIME);
  disk.empty();
  await until('the gate is open', () => kit.gate.size === 0, IN_TIME);
  await writer.close();
  t.match(kit.entries(), [{ what: 'audit_failed' }, { what: 'message_accepted' }]);
});
