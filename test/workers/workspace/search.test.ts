import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { blocksOf, startWorkspace, type WorkspaceClient } from './workspace-client.js';

async function fill(ws: WorkspaceClient): Promise<void> {
  await mkdir(join(ws.root, 'src/deep'), { recursive: true });
  await writeFile(join(ws.root, 'README.md'), 'Hello\nworld\n');
  await writeFile(join(ws.root, 'src/a.ts'), 'const hello = 1;\r\nhello();\r\n');
  await writeFile(join(ws.root, 'src/deep/b.ts'), 'nothing');
  await writeFile(join(ws.root, 'src/deep/c.bin'), Buffer.from('hello\0'));
}

t.test('search_files finds names by glob, at any depth or by path', async (t) => {
  const ws = await startWorkspace(t);
  await fill(ws);
  t.same(blocksOf(await ws.call('search_files', { glob: '*.ts' })), ['src/a.ts\nsrc/deep/b.ts']);
  t.same(blocksOf(await ws.call('search_files', { glob: 'src/*.ts' })), ['src/a.ts']);
  t.same(blocksOf(await ws.call('search_files', { glob: '**/deep' })), ['src/deep/']);
  t.same(blocksOf(await ws.call('search_files', { path: 'src', glob: '*.ts' })), ['src/a.ts\nsrc/deep/b.ts']);
  t.same(blocksOf(await ws.call('search_files', { glob: '*.py' })), ['[nothing found]']);
});

t.test('search_files finds lines by pattern, in text files, with path and line number', async (t) => {
  const ws = await startWorkspace(t);
  await fill(ws);
  t.same(blocksOf(await ws.call('search_files', { pattern: 'hello' })), [
    'src/a.ts:1: const hello = 1;\nsrc/a.ts:2: hello();',
    '[1 binary files were not searched]',
  ]);
  const upper = blocksOf(await ws.call('search_files', { pattern: '^hello$', ignore_case: true, glob: '*.md' }));
  t.same(upper, ['README.md:1: Hello']);
  t.same(blocksOf(await ws.call('search_files', { path: 'src/a.ts', pattern: 'hello\\(' })), ['src/a.ts:2: hello();']);
});

t.test('results are bounded in number and length, and it says so', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'f'), `${'hit '.repeat(500)}\n`.repeat(500));
  const [text = '', note] = blocksOf(await ws.call('search_files', { pattern: 'hit', limit: 50 }));
  t.equal(text.split('\n').length, 50);
  t.ok(text.length < 50 * 380);
  t.match(note, 'stopped at 50 results: continue with offset 51');
});

t.test('a pattern that backtracks for ever ends with an error, and the server goes on', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'f'), `${'a'.repeat(60)}!\n`);
  t.equal(await ws.fault('search_files', { pattern: '^(a+)+(?!.)' }), 'SLOW_PATTERN');
  t.match(await ws.text('search_files', { pattern: 'a+!' }), /^f:1: /);
});

t.test('no pattern and no glob, or a pattern that is none, are clear errors', async (t) => {
  const ws = await startWorkspace(t);
  t.equal(await ws.fault('search_files', {}), 'BAD_PATTERN');
  t.equal(await ws.fault('search_files', { pattern: '(' }), 'BAD_PATTERN');
});

t.test('a search goes on from an offset, to its end', async (t) => {
  const ws = await startWorkspace(t);
  for (const name of ['a', 'b', 'c']) await writeFile(join(ws.root, name), `hit ${name}\n`.repeat(40));
  const found: string[] = [];
  for (let offset = 1; found.length < 120; offset += 50) {
    const [text = '', note] = blocksOf(await ws.call('search_files', { pattern: 'hit', limit: 50, offset }));
    found.push(...text.split('\n'));
    t.equal(note !== undefined, found.length < 120);
  }
  t.equal(new Set(found).size, 120);
  t.match(await ws.text('search_files', { pattern: 'hit', offset: 121 }), 'nothing found from offset 121 on');
});

t.test('of a long line the part with the match is shown, whole characters, and where it stands', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'f'), `${'🚀'.repeat(2_000)}needle${'🚀'.repeat(2_000)}\n`);
  const text = await ws.text('search_files', { pattern: 'needle' });
  t.match(text, /^f:1: ….*needle.*… \[characters 3941–4240 of 8006 of this line\]$/);
  t.ok(text.isWellFormed());
  t.notMatch(text, '\uFFFD');
});
