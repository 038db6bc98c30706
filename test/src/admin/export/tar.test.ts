/** The tar of an export, as its reader takes it. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { tarOf, type ExportFile } from '../../../../src/admin/export/tar.js';

async function* oneThenError(): AsyncGenerator<ExportFile> {
  yield { name: 'one', size: 1, content: [Buffer.from('1')] };
  throw new Error('the store is away');
}

const PIECE = Buffer.alloc(65_536, 'x');

t.test('tar unpacks it, with every byte of every file, in one folder', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-tar-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const files = async function* (): AsyncGenerator<ExportFile> {
    yield { name: 'empty.txt', size: 0, content: [] };
    yield { name: 'sessions/a/b.json', size: 4, content: [Buffer.from('[1'), Buffer.from(']\n')] };
    yield { name: 'long', size: 40 * PIECE.length, content: Array.from({ length: 40 }, () => PIECE) };
  };
  const chunks: Uint8Array[] = [];
  for await (const chunk of tarOf(files())) chunks.push(chunk);
  await writeFile(join(folder, 'x.tar'), Buffer.concat(chunks));
  const run = promisify(execFile);
  await run('tar', ['-xf', 'x.tar'], { cwd: folder });
  const { stdout } = await run(
    'sh',
    ['-c', 'cd fairlead-export && cat sessions/a/b.json && wc -c < long && wc -c < empty.txt'],
    {
      cwd: folder,
    },
  );
  t.same(stdout.split(/\s+/).filter(Boolean), ['[1]', String(40 * PIECE.length), '0']);
});

t.test('a reader that leaves ends what makes the files, which has made few pieces ahead', async (t) => {
  let made = 0;
  let ended = false;
  const content = async function* (): AsyncGenerator<Uint8Array> {
    for (; made < 10_000; made++) yield PIECE;
  };
  const files = async function* (): AsyncGenerator<ExportFile> {
    try {
      yield { name: 'endless', size: 10_000 * PIECE.length, content: content() };
    } finally {
      ended = true;
    }
  };
  const tar = tarOf(files());
  for (let taken = 0; taken < 3; taken++) await tar.next();
  await tar.return(undefined);
  t.ok(ended);
  t.ok(made < 20, `${made} pieces were made`);
});

t.test('a file that cannot be made ends the tar with its error', async (t) => {
  const read = async (): Promise<void> => {
    for await (const chunk of tarOf(oneThenError())) t.ok(chunk);
  };
  await t.rejects(read(), { message: 'the store is away' });
});
