/** Archives as the programs of a user read them. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import type { ArchiveFormat } from '../../../../workers/docker/contract/files.js';
import type { Entry } from '../../../../workers/docker/files/entries.js';
import { packed } from '../../../../workers/docker/files/pack.js';
import type { BytePath } from '../../../../workers/workspace/names.js';

t.setTimeout(240_000); // other programs, on a machine that may be busy

const run = promisify(execFile);
const MIB = 1_048_576;
const ABOUT = { size: 0, mtime: 1_700_000_000, mode: 0o644 };
/** Of each entry of the archive, what it is, its mode and its content or where it leads. */
const READ = {
  'tar.gz': `import json, sys, tarfile, hashlib
tar = tarfile.open(sys.argv[1])
def about(e):
    if e.issym(): return ['link', e.mode, e.linkname]
    if e.islnk(): return ['same', e.mode, e.linkname]
    if e.isdir(): return ['folder', e.mode, '']
    return ['file', e.mode, hashlib.sha256(tar.extractfile(e).read()).hexdigest() if e.size > 1000 else tar.extractfile(e).read().decode()]
print(json.dumps([[e.name] + about(e) for e in tar]))`,
  zip: `import json, sys, zipfile, hashlib
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
def about(e):
    mode = e.external_attr >> 16
    data = z.read(e)
    kind = {0o120000: 'link', 0o040000: 'folder'}.get(mode & 0o170000, 'file')
    return [kind, mode & 0o7777, hashlib.sha256(data).hexdigest() if len(data) > 1000 else data.decode()]
print(json.dumps([[e.filename] + about(e) for e in z.infolist()]))`,
};

type Read = [name: string, type: string, mode: number, content: string];

async function* each(entries: readonly Entry[]): AsyncGenerator<Entry> {
  yield* entries;
}

async function* bytes(...parts: Buffer[]): AsyncGenerator<Buffer> {
  yield* parts;
}

function folder(path: string): Entry {
  return { ...ABOUT, path: path as BytePath, type: 'folder', mode: 0o755 };
}

function link(path: string, target: string): Entry {
  return { ...ABOUT, path: path as BytePath, type: 'link', mode: 0o777, target };
}

function file(path: string, content: Buffer | string, mode = 0o644): Entry {
  const buffer = Buffer.from(content);
  return { ...ABOUT, path: path as BytePath, type: 'file', size: buffer.length, mode, content: bytes(buffer) };
}

async function* broken(): AsyncGenerator<Buffer> {
  yield Buffer.alloc(100);
  throw new Error('the sandbox has gone');
}

async function* brokenBetween(): AsyncGenerator<Entry> {
  yield folder('d');
  throw new Error('the sandbox has gone');
}

async function readBack(t: Test, format: ArchiveFormat, entries: readonly Entry[]): Promise<Read[]> {
  const parts: Buffer[] = [];
  for await (const chunk of packed(each(entries), format)) parts.push(chunk);
  const path = join(t.testdir(), 'archive');
  await writeFile(path, Buffer.concat(parts));
  return JSON.parse((await run('python3', ['-c', READ[format], path], { maxBuffer: 16 * MIB })).stdout) as Read[];
}

for (const format of ['tar.gz', 'zip'] as const) {
  t.test(`${format}: files, folders and links come out as they went in, without rights for others`, async (t) => {
    const big = Buffer.alloc(3 * MIB + 17, 'spam and eggs ');
    const read = await readBack(t, format, [
      file('a.txt', 'hello'),
      folder('d'),
      file('d/big.bin', big),
      file('d/empty', ''),
      file('d/setuid', '#!', 0o4755),
      link('here', 'd/empty'),
      link('out', '/etc/passwd'),
    ]);
    const slash = format === 'zip' ? '/' : '';
    t.same(read, [
      ['a.txt', 'file', 0o644, 'hello'],
      [`d${slash}`, 'folder', 0o755, ''],
      ['d/big.bin', 'file', 0o644, createHash('sha256').update(big).digest('hex')],
      ['d/empty', 'file', 0o644, ''],
      ['d/setuid', 'file', 0o755, '#!'],
      ['here', 'link', 0o777, 'd/empty'],
      ['out', 'link', 0o777, '/etc/passwd'],
    ]);
  });

  t.test(`${format}: a sandbox that lies about names writes nowhere else when its archive is unpacked`, async (t) => {
    const read = await readBack(t, format, [
      link('trap', '/tmp'),
      ...['../up', '/etc/x', 'd/../../x', 'nul\0x', 'trap/x', 'trap', 'trap/deep/x'].map((path) => file(path, 'evil')),
      { ...ABOUT, path: 'pipe' as BytePath, type: 'other' },
      { ...ABOUT, path: 'closed' as BytePath, type: 'file', missing: 'it is closed' },
      file('good', 'good'),
    ]);
    const names = read.map(([name]) => name);
    t.same(names, ['trap', 'good', 'NOT-IN-THIS-ARCHIVE.txt']);
    const told = read.at(-1)?.[3] ?? '';
    for (const why of ['../up: its name leads elsewhere', 'trap/x: a link is there', 'pipe: it is a device']) {
      t.match(told, why);
    }
    t.match(told, 'closed: it is closed');
  });

  t.test(`${format}: any name that Linux takes has one in the archive`, async (t) => {
    const odd = ['broken\xff', '\xc3\xbc', ' spaces ', 'new\nline', 'n'.repeat(255), 'C:', 'a\\b', '-dash'];
    const read = await readBack(t, format, [
      ...odd.map((path) => file(path, 'x')),
      file('NOT-IN-THIS-ARCHIVE.txt', 'mine'),
      { ...ABOUT, path: 'pipe' as BytePath, type: 'other' },
    ]);
    t.equal(new Set(read.map(([name]) => name)).size, odd.length + 2);
    t.equal(read.find(([name]) => name === 'NOT-IN-THIS-ARCHIVE.txt')?.[3], 'mine', 'no file of the user is hidden');
    t.ok(read.some(([name]) => name === 'ü') && read.some(([name]) => name === ' spaces '));
    if (format === 'zip') t.notOk(read.some(([name]) => name.includes('\\') || name.startsWith('C:')));
  });

  t.test(`${format}: no more is read than its reader takes`, async (t) => {
    const counts = { entries: 0, bytes: 0 };
    const endless = async function* (): AsyncGenerator<Entry> {
      for (;;) {
        counts.entries++;
        const content = async function* (): AsyncGenerator<Buffer> {
          for (let part = 0; part < 64; part++) {
            counts.bytes += MIB;
            yield Buffer.alloc(MIB);
          }
        };
        if (counts.entries % 100 === 0) {
          yield { ...file(`f${counts.entries}`, ''), size: 64 * MIB, content: content() };
        } else yield folder(`d${counts.entries}`);
      }
    };
    const reader = packed(endless(), format);
    await reader.next();
    const before = { ...counts };
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    t.ok(counts.entries - before.entries < 2_000, `${counts.entries} entries`);
    t.ok(counts.bytes <= 64 * MIB, `${counts.bytes} bytes`);
    await reader.return(undefined);
  });

  t.test(`${format}: an error of the source is that of the archive, at any place`, async (t) => {
    const inside = each([{ ...file('f', ''), size: MIB, content: broken() }, folder('never')]);
    for (const source of [inside, brokenBetween()]) {
      const reader = packed(source, format);
      await t.rejects(
        (async () => {
          for await (const _chunk of reader);
        })(),
        { message: 'the sandbox has gone' },
      );
    }
  });
}

t.test('a further name of a file is one in a tar, unless the first is elsewhere', async (t) => {
  const read = await readBack(t, 'tar.gz', [
    file('first', 'content'),
    { ...ABOUT, path: 'second' as BytePath, type: 'file', sameAs: 'first' as BytePath },
    { ...ABOUT, path: 'third' as BytePath, type: 'file', sameAs: '../../etc/passwd' as BytePath },
  ]);
  t.same(read[1], ['second', 'same', 0o644, 'first']);
  t.same(read[2]?.[0], 'NOT-IN-THIS-ARCHIVE.txt');
});
