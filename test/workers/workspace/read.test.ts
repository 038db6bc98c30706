import { writeFile, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { blocksOf, startWorkspace } from './workspace-client.js';

t.test('a small text file comes whole, exactly as it is, without a note', async (t) => {
  const ws = await startWorkspace(t);
  for (const text of ['one\ntwo\n', 'no newline', '\n\n', 'Grüße 🚀\r\n', '\uFEFFwith a mark\n']) {
    await writeFile(join(ws.root, 'f'), text);
    t.same(blocksOf(await ws.call('read_file', { path: 'f' })), [text]);
  }
});

t.test('an empty file says that it is empty, in no empty block', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'f'), '');
  t.same(blocksOf(await ws.call('read_file', { path: 'f' })), ['[f is empty]']);
});

t.test('offset and limit give those lines and say where to continue', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'f'), Array.from({ length: 10 }, (_, i) => `line ${i + 1}\n`).join(''));
  const middle = blocksOf(await ws.call('read_file', { path: 'f', offset: 4, limit: 2 }));
  t.same(middle, ['line 4\nline 5\n', '[lines 4–5 of 10 are shown; continue with offset 6]']);
  const end = blocksOf(await ws.call('read_file', { path: 'f', offset: 9, limit: 100 }));
  t.same(end, ['line 9\nline 10\n', '[lines 9–10 of 10: the end of the file]']);
  t.equal(await ws.fault('read_file', { path: 'f', offset: 11 }), 'PAST_END');
});

t.test('a file of many lines is cut after 2000, and the parts make the whole', async (t) => {
  const ws = await startWorkspace(t);
  const text = Array.from({ length: 4500 }, (_, i) => `${i + 1}`).join('\n');
  await writeFile(join(ws.root, 'f'), text);
  let read = '';
  for (let offset = 1; offset <= 4500; offset += 2000) {
    read += blocksOf(await ws.call('read_file', { path: 'f', offset }))[0] ?? '';
  }
  t.equal(read, text);
  t.match(blocksOf(await ws.call('read_file', { path: 'f' }))[1], 'lines 1–2000 of 4500');
});

t.test('a read is cut at 256 KiB on a whole line', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'f'), `${'é'.repeat(500)}\n`.repeat(1000));
  const [text = '', note] = blocksOf(await ws.call('read_file', { path: 'f' }));
  t.ok(Buffer.byteLength(text) <= 262_144 && Buffer.byteLength(text) > 260_000);
  t.ok(text.endsWith('é\n'));
  t.match(note, `continue with offset ${text.split('\n').length}`);
});

t.test('a line longer than a read can be is cut between two characters', async (t) => {
  const ws = await startWorkspace(t);
  for (const pad of ['', 'a', 'ab', 'abc']) {
    await writeFile(join(ws.root, 'f'), `${pad}${'🚀'.repeat(100_000)}\nsecond\n`);
    const [text = '', note] = blocksOf(await ws.call('read_file', { path: 'f' }));
    t.notMatch(text, '\uFFFD');
    t.ok(text.endsWith('🚀'));
    t.match(note, /line 1 of 2 is too long.*sed -n 1p f \| tail -c \+\d+/);
    t.match(blocksOf(await ws.call('read_file', { path: 'f', offset: 2 }))[0], 'second\n');
  }
});

t.test('a huge file is read only in parts', async (t) => {
  const ws = await startWorkspace(t);
  const handle = await open(join(ws.root, 'huge'), 'w');
  for (let i = 0; i < 40; i++) await handle.write(`${'x'.repeat(99)}\n`.repeat(5000));
  await handle.close();
  t.equal(await ws.fault('read_file', { path: 'huge' }), 'TOO_LARGE');
  const [text, note] = blocksOf(await ws.call('read_file', { path: 'huge', offset: 150_000, limit: 1 }));
  t.equal(text, `${'x'.repeat(99)}\n`);
  t.match(note, 'continue with offset 150001');
  t.equal(await ws.fault('read_file', { path: 'huge', offset: 1_000_000 }), 'PAST_END');
  t.equal(await ws.fault('edit_file', { path: 'huge', old_text: 'x', new_text: 'y' }), 'TOO_LARGE');
});

t.test('what is not UTF-8 text is a clear error, and so are folders, pipes and files that are not there', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'binary'), Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 1]));
  await writeFile(join(ws.root, 'late-nul'), Buffer.concat([Buffer.alloc(200_000, 'a'), Buffer.from([0])]));
  await writeFile(join(ws.root, 'latin1'), Buffer.from('Grüße', 'latin1'));
  await writeFile(join(ws.root, 'utf16'), Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('text', 'utf16le')]));
  await mkdir(join(ws.root, 'folder'));
  await ws.text('run_command', { command: 'mkfifo pipe' });
  t.equal(await ws.fault('read_file', { path: 'binary' }), 'BINARY_FILE');
  t.equal(await ws.fault('read_file', { path: 'late-nul' }), 'BINARY_FILE');
  t.equal(await ws.fault('read_file', { path: 'latin1' }), 'NOT_UTF8');
  t.equal(await ws.fault('read_file', { path: 'utf16' }), 'NOT_UTF8');
  t.equal(await ws.fault('read_file', { path: 'folder' }), 'IS_A_FOLDER');
  t.equal(await ws.fault('read_file', { path: 'pipe' }), 'NOT_A_FILE');
  t.equal(await ws.fault('read_file', { path: 'missing' }), 'NOT_FOUND');
  t.equal(await ws.fault('edit_file', { path: 'latin1', old_text: 'x', new_text: 'y' }), 'NOT_UTF8');
});
