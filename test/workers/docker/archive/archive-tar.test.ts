/** The tar reader on tars made by hand: names as bytes, the bound on headers in memory, and what is no complete tar. */
import t from 'tap';
import { foldersOnly, pathsOfMode } from '../../../../workers/docker/archive/restore-script.js';
import { SaveFilter } from '../../../../workers/docker/archive/save-filter.js';
import { SkippedList } from '../../../../workers/docker/archive/skipped-list.js';

const END = Buffer.alloc(1_024);
/** `né` in Latin-1: no UTF-8. */
const LATIN1 = Buffer.from([0x6e, 0xe9]);

function header(name: Buffer, type: string, size: number, mode = '0000555'): Buffer {
  const block = Buffer.alloc(512);
  name.copy(block, 0, 0, 100);
  block.write(`${mode}\0`, 100);
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  block.write(type, 156);
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

/** `LENGTH path=NAME\n`, where the length counts its own digits. */
function paxPath(name: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(' path='), name, Buffer.from('\n')]);
  let length = rest.length + 1;
  while (String(length).length + rest.length > length) length++;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

async function* whole(...parts: Buffer[]): AsyncGenerator<Buffer> {
  yield Buffer.concat(parts);
}

async function* byBytes(...parts: Buffer[]): AsyncGenerator<Buffer> {
  for (const byte of Buffer.concat(parts)) yield Buffer.from([byte]);
}

async function read(parts: AsyncIterable<Buffer>): Promise<Buffer> {
  const read: Buffer[] = [];
  for await (const part of parts) read.push(part);
  return Buffer.concat(read);
}

async function problemOf(...parts: Buffer[]): Promise<string | undefined> {
  const filter = new SaveFilter({ maxBytes: 1e9, tooLarge: 'skip', leaveOut: new Map() }, new SkippedList(), []);
  await read(filter.pass(whole(...parts)));
  return filter.problem;
}

const long = Buffer.concat([Buffer.alloc(150, 'd'), LATIN1]);
const FORMS: [string, Buffer, Buffer[]][] = [
  ['ustar', LATIN1, [header(LATIN1, '5', 0)]],
  [
    'GNU long name',
    long,
    [
      header(Buffer.from('L'), 'L', long.length + 1),
      padded(Buffer.concat([long, Buffer.alloc(1)])),
      header(long, '5', 0),
    ],
  ],
  ['pax', long, [header(Buffer.from('x'), 'x', paxPath(long).length), padded(paxPath(long)), header(long, '5', 0)]],
];

for (const [form, name, entry] of FORMS) {
  t.test(`a name that is no UTF-8 keeps its bytes: ${form}`, async (t) => {
    const opened = header(name, '5', 0, '0000755');
    const file = header(Buffer.from('file'), '0', 3, '0000644');
    for (const source of [whole, byBytes]) {
      const tar = () => source(...entry, file, padded(Buffer.from('abc')), END);
      const path = Buffer.concat([Buffer.from('./'), name, Buffer.alloc(1)]);
      t.same(await read(pathsOfMode(tar(), new Map(), 0o555)), path);
      t.same(
        await read(foldersOnly(tar())),
        Buffer.concat([...entry.slice(0, -1), opened, END]),
        'but for the mode of it',
      );
    }
  });
}

t.test('a header that is kept in memory has 64 KiB at most', async (t) => {
  const entry = [header(Buffer.from('file'), '0', 0), END];
  for (const type of ['x', 'g', 'L', 'K']) {
    const name = Buffer.from('about');
    const full = padded(Buffer.alloc(65_536));
    t.equal(await problemOf(header(name, type, 65_536), full, ...entry), undefined, type);
    t.match(await problemOf(header(name, type, 65_537), full, Buffer.alloc(512), ...entry), /65537 bytes/, type);
  }
});

t.test('a tar without its end, with another behind it, or with an unknown entry is not complete', async (t) => {
  const file = [header(Buffer.from('file'), '0', 3), padded(Buffer.from('abc'))];
  t.equal(await problemOf(...file, END), undefined);
  t.equal(await problemOf(...file, END, END), undefined, 'zeros at its end are padding');
  t.equal(await problemOf(), 'it is empty');
  t.equal(await problemOf(...file), 'its end is missing');
  t.equal(await problemOf(...file, Buffer.alloc(512)), 'its end is missing');
  t.equal(await problemOf(...file, Buffer.alloc(512), ...file, END), 'an entry follows its end');
  t.match(await problemOf(header(Buffer.from('sparse'), 'S', 0), END), /type "S"/);
  const [first = Buffer.alloc(0), content = Buffer.alloc(0)] = file;
  const flipped = Buffer.from(first);
  flipped[0] = 0x46;
  t.match(await problemOf(flipped, content, END), /checksum/);
});

t.test(
  'folders in each other that would take too long to put back are left out, and what is less deep is saved',
  async (t) => {
    const parts: Buffer[] = [];
    const add = (name: string, type: string): void => {
      const path = Buffer.from(name);
      parts.push(header(Buffer.from('L'), 'L', path.length + 1), padded(Buffer.concat([path, Buffer.alloc(1)])));
      parts.push(header(path, type, 0));
    };
    for (const chain of ['a', 'b', 'c']) {
      let path = chain;
      for (let depth = 0; depth < 500; depth++) add((path += '/d'), '5');
    }
    for (let i = 0; i < 2_000; i++) add(`src/of/a/program/lib/${i}`, '0');
    const skipped = new SkippedList();
    const filter = new SaveFilter({ maxBytes: 1e9, tooLarge: 'skip', leaveOut: new Map() }, skipped, []);
    await read(filter.pass(whole(...parts, END)));
    t.ok(filter.folders > 700 && filter.folders < 1_000, `${filter.folders} folders of 1500`);
    t.equal(filter.files, 2_000);
    const { count, paths } = skipped.result();
    t.equal(count, 1_500 - filter.folders);
    for (const { path, reason } of paths) {
      t.match(path, /^[bc]\//);
      t.equal(reason, 'it is one of too many files in deep folders');
    }
  },
);
