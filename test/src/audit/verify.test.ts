/** Each way to change a log is found, and the first entry that is not as it was written is named with its file and line. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { endAfter, type ChainEnd } from '../../../src/audit/chain.js';
import { auditFolder, headFile, readHead } from '../../../src/audit/files.js';
import { verifyLog, type Break } from '../../../src/audit/verify.js';
import { until } from '../../helpers/until.js';
import { auditKit, message, type Kit } from './audit-kit.js';

const IN_TIME = { timeoutMs: 20_000 };

/** Three files with three entries each, and a tenth entry in a fourth. */
async function tenEntries(t: Test): Promise<Kit> {
  const kit = auditKit(t);
  for (const [start, entries] of [3, 3, 3, 1].entries()) {
    const writer = kit.open({ today: () => `2026-11-0${start + 1}` });
    for (let n = 0; n < entries; n++) writer.post(message(start * 3 + n + 1));
    await writer.close();
  }
  return kit;
}

type Edit = (lines: string[]) => string[];

/** Changes one file, by its index. */
function change(kit: Kit, index: number, edit: Edit): void {
  const file = join(auditFolder(kit.dataDir), kit.files()[index]!);
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  writeFileSync(
    file,
    edit(lines)
      .map((line) => `${line}\n`)
      .join(''),
  );
}

const swap: Edit = ([a, b, c]) => [b!, a!, c!];
const FILES = [
  '000000000001-2026-11-01',
  '000000000004-2026-11-02',
  '000000000007-2026-11-03',
  '000000000010-2026-11-04',
];
const DAMAGES: [name: string, index: number, edit: Edit, found: Omit<Break, 'file' | 'why'>, file?: number][] = [
  ['an edited entry', 1, ([a, b, c]) => [a!, b!.replace('ada', 'eve'), c!], { damage: 'edited', line: 2, n: 5 }],
  [
    'the first entry, edited',
    0,
    ([a, b, c]) => [a!.replace('ada', 'eve'), b!, c!],
    { damage: 'edited', line: 1, n: 1 },
  ],
  ['the last entry, edited', 3, ([a]) => [a!.replace('ada', 'eve')], { damage: 'edited', line: 1, n: 10 }],
  ['an edited number', 1, ([a, b, c]) => [a!, b!.replace('"n":5', '"n":50'), c!], { damage: 'edited', line: 2, n: 50 }],
  ['an edited hash', 1, ([a, b, c]) => [a!, b!.replace(/.{4}"}$/, '0000"}'), c!], { damage: 'edited', line: 2, n: 5 }],
  ['a deleted entry', 1, ([a, , c]) => [a!, c!], { damage: 'missing', line: 2, n: 6 }],
  ['a file cut at its end', 1, ([a]) => [a!], { damage: 'missing', line: 1, n: 7 }, 2],
  ['the end, cut', 3, () => [], { damage: 'missing', line: 4, n: 10 }, 2],
  ['two entries in another order', 2, swap, { damage: 'reordered', line: 1, n: 8 }],
  ['an entry twice', 1, ([a, b, c]) => [a!, b!, b!, c!], { damage: 'inserted', line: 3, n: 5 }],
  ['an old entry again', 2, ([a, b, c]) => [a!, b!, c!, a!], { damage: 'inserted', line: 4, n: 7 }],
  ['a made up entry', 1, ([a, b, c]) => [a!, b!.replace('ada', 'eve'), b!, c!], { damage: 'inserted', line: 2, n: 5 }],
  ['a line that is no entry', 1, ([a, b, c]) => [a!, 'hello', b!, c!], { damage: 'unreadable', line: 2 }],
  ['an entry without its end', 1, ([a, b, c]) => [a!, b!.slice(0, -20), c!], { damage: 'unreadable', line: 2 }],
];

for (const [name, index, edit, found, file = index] of DAMAGES) {
  t.test(`verify finds ${name}`, async (t) => {
    const kit = await tenEntries(t);
    t.equal((await verifyLog(kit.dataDir)).break, undefined, 'before that it is whole');
    change(kit, index, edit);
    const { why, ...place } = (await verifyLog(kit.dataDir)).break ?? { why: '' };
    t.same(place, { ...found, file: `${FILES[file]}.jsonl` }, why);
  });
}

for (const [name, index, found] of [
  ['the oldest', 0, { damage: 'missing', line: 1, n: 4, why: /entries 1 to 3/ }],
  ['one in the middle', 1, { damage: 'missing', line: 1, n: 7, why: /entries 4 to 6/ }],
  ['the newest', 3, { damage: 'missing', n: 10, why: /10 to 10 are missing at the end/ }],
] as const) {
  t.test(`verify misses a file that was deleted: ${name}`, async (t) => {
    const kit = await tenEntries(t);
    rmSync(join(auditFolder(kit.dataDir), kit.files()[index]!));
    t.match((await verifyLog(kit.dataDir)).break, found);
  });
}

t.test('verify misses a whole folder that was deleted, by the head beside it', async (t) => {
  const kit = await tenEntries(t);
  rmSync(auditFolder(kit.dataDir), { recursive: true });
  t.match((await verifyLog(kit.dataDir)).break, { damage: 'missing', why: /1 to 10/ });
});

for (const [name, spoil] of [
  ['missing', (file: string): void => rmSync(file)],
  ['damaged', (file: string): void => writeFileSync(file, 'garbage')],
] as const) {
  t.test(
    `a head that is ${name} is a break, which the next start writes down; a hash that was kept elsewhere proves the end`,
    async (t) => {
      const kit = await tenEntries(t);
      const kept = (await readHead(headFile(kit.dataDir))) as ChainEnd;
      spoil(headFile(kit.dataDir));
      t.match((await verifyLog(kit.dataDir)).break, { file: 'audit-head', why: `audit-head is ${name}` });
      t.equal((await verifyLog(kit.dataDir, { expect: [kept] })).break, undefined);
      rmSync(join(auditFolder(kit.dataDir), kit.files()[3]!));
      t.match((await verifyLog(kit.dataDir)).break, { file: 'audit-head' });
      t.match((await verifyLog(kit.dataDir, { expect: [kept] })).break, { damage: 'missing', n: 10 });
      const writer = kit.open();
      writer.post(message(10));
      await writer.close();
      t.match(kit.entries()[9], { n: 10, what: 'audit_missing', about: { why: `audit-head was ${name}` } });
      t.match(await verifyLog(kit.dataDir), { saysMissing: [10], break: undefined, head: { n: 11 } });
    },
  );
}

t.test('a log has its head before its first entry', async (t) => {
  const kit = auditKit(t);
  const writer = kit.open();
  writer.post(message(1));
  await until('the first entry is written', () => writer.counts.written === 1, IN_TIME);
  t.equal((await verifyLog(kit.dataDir)).break, undefined);
});

/** Entries 9 and 10 were cut while no server ran, and entry 11 says so. */
async function admittedGap(t: Test): Promise<Kit> {
  const kit = await tenEntries(t);
  rmSync(join(auditFolder(kit.dataDir), kit.files()[3]!));
  change(kit, 2, ([a, b]) => [a!, b!]);
  const writer = kit.open({ today: () => '2026-11-05' });
  for (let n = 12; n < 15; n++) writer.post(message(n));
  await writer.close();
  return kit;
}

t.test('a gap that the log itself admits is named, and what follows it is verified', async (t) => {
  const kit = await admittedGap(t);
  t.match(await verifyLog(kit.dataDir), {
    admitted: [{ damage: 'missing', n: 11, why: /entries 9 to 10/, saidBy: 11 }],
    break: undefined,
    last: { n: 14 },
  });
  change(kit, 3, ([a, b, c, d]) => [a!, b!, c!.replace('ada', 'eve'), d!]);
  t.match(await verifyLog(kit.dataDir), { admitted: [{ saidBy: 11 }], break: { damage: 'edited', n: 13 } });
});

t.test('a gap that grows beyond what the log admits is a break', async (t) => {
  const kit = await admittedGap(t);
  change(kit, 2, ([a]) => [a!]);
  t.match((await verifyLog(kit.dataDir)).break, { damage: 'missing', why: /entries 8 to 10/ });
});

t.test('an expected entry that lies in a gap is not proven', async (t) => {
  const kit = await tenEntries(t);
  const [ninth, tenth] = [endAfter(9, kit.lines()[8]!), endAfter(10, kit.lines()[9]!)];
  rmSync(join(auditFolder(kit.dataDir), kit.files()[3]!));
  change(kit, 2, ([a, b]) => [a!, b!]);
  const writer = kit.open();
  writer.post(message(12));
  await writer.close();
  t.match((await verifyLog(kit.dataDir, { expect: [ninth] })).break, { damage: 'missing', n: 9 });
  t.equal((await verifyLog(kit.dataDir, { expect: [tenth] })).break, undefined, 'entry 11 names it');
  t.match((await verifyLog(kit.dataDir, { expect: [{ ...tenth, sha256: ninth.sha256 }] })).break, { damage: 'edited' });
});

t.test('lines that are no entries at the end of a file are admitted by the next start', async (t) => {
  const kit = await tenEntries(t);
  change(kit, 3, ([a]) => [a!, 'hello']);
  t.match((await verifyLog(kit.dataDir)).break, { damage: 'unreadable' });
  const writer = kit.open();
  writer.post(message(12));
  await writer.close();
  t.match(await verifyLog(kit.dataDir), { admitted: [{ line: 2, saidBy: 11 }], break: undefined, last: { n: 12 } });
});

t.test('after an entry that was verified before, only what is new is told', async (t) => {
  const kit = await admittedGap(t);
  const after = endAfter(12, kit.lines()[9]!);
  t.match(await verifyLog(kit.dataDir, { after }), { entries: 2, admitted: [], saysMissing: [], break: undefined });
  change(kit, 3, ([a, b, c, d]) => [a!, b!, c!.replace('ada', 'eve'), d!]);
  t.match((await verifyLog(kit.dataDir, { after })).break, { damage: 'edited', n: 13 });
  const other = { n: 12, sha256: '0'.repeat(64) };
  t.match((await verifyLog(kit.dataDir, { after: other })).break, { damage: 'missing', n: 12 });
});

t.test('a chain that was made anew from an edited entry on differs from a hash that was kept elsewhere', async (t) => {
  const kit = await tenEntries(t);
  const kept = endAfter(6, kit.lines()[5]!);
  t.equal((await verifyLog(kit.dataDir, { expect: [kept] })).break, undefined);
  let prev = '';
  for (let index = 1; index < 4; index++) {
    change(kit, index, (lines) =>
      lines.map((line) => {
        const edited = line.replace('ada', 'eve');
        const chained = prev === '' ? edited : edited.replace(/"prev":"\w+"/, `"prev":"${prev}"`);
        prev = endAfter(0, chained).sha256;
        return chained;
      }),
    );
  }
  writeFileSync(headFile(kit.dataDir), `000000000010 ${prev}\n`);
  t.equal((await verifyLog(kit.dataDir)).break, undefined, 'who may write all files can make a chain of their own');
  t.match((await verifyLog(kit.dataDir, { expect: [kept] })).break, { damage: 'edited', n: 6, line: 3 });
});

t.test('removing old files as the configuration says is no damage, and removing more is', async (t) => {
  const kit = await tenEntries(t);
  const writer = kit.open({ keepDays: 2, today: () => '2026-11-05' });
  writer.post(message(11));
  await writer.close();
  t.match(await verifyLog(kit.dataDir), { first: 7, last: { n: 12 } });
  t.equal((await verifyLog(kit.dataDir)).break, undefined);
  rmSync(join(auditFolder(kit.dataDir), kit.files()[0]!));
  t.match((await verifyLog(kit.dataDir)).break, { damage: 'missing', why: /beginning/ });
});

t.test('an empty log is whole', async (t) => {
  t.match(await verifyLog(auditKit(t).dataDir), { entries: 0, files: 0 });
});
