import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { array, assert, integer, property } from 'fast-check';
import t from 'tap';
import { meantPaths, shownPath, toBytes, type BytePath } from '../../../workers/workspace/names.js';
import { blocksOf, startWorkspace, textOf } from './workspace-client.js';

const bytes = (...parts: (string | number)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))));

/** Names as Linux has them, and as they are shown. */
const NAMES: [name: Buffer, shown: string][] = [
  [bytes('a\nb'), '"a\\nb"'],
  [bytes('tab\there\r'), '"tab\\there\\r"'],
  [bytes('caf', 0xe9, '.txt'), '"caf\\xe9.txt"'],
  [bytes('\u001B[31mred'), '"\\x1b[31mred"'],
  [bytes('line\u2028end'), '"line\\u2028end"'],
  [bytes('evil\u202Etxt.exe'), '"evil\\u202etxt.exe"'],
  [bytes('"quoted"'), '"\\"quoted\\""'],
  [bytes(' space '), '" space "'],
  [bytes('Screenshot at 3.00\u202FPM.png'), '"Screenshot at 3.00\\u202fPM.png"'],
  [bytes('zero\u200Bwidth'), '"zero\\u200bwidth"'],
  [bytes('tag\u{E0041}'), '"tag\\xf3\\xa0\\x81\\x81"'],
  [bytes('back\\slash'), 'back\\slash'],
  [bytes('Grüße 🚀.md'), 'Grüße 🚀.md'],
  [bytes('half ', 0xf0, 0x9f, ' of one'), '"half \\xf0\\x9f of one"'],
];

t.test('each name is one line in a listing and in a search, and can be read, edited and written by it', async (t) => {
  const ws = await startWorkspace(t);
  for (const [name, shown] of NAMES) writeFileSync(Buffer.concat([bytes(`${ws.root}/`), name]), `I am ${shown}\n`);
  const lines = (await ws.text('list_files', {})).split('\n');
  t.same(lines.map((line) => line.replace(/ \(\d+ bytes\)$/, '')).sort(), NAMES.map(([, shown]) => shown).sort());
  const found = (await ws.text('search_files', { glob: '*' })).split('\n');
  t.same(found.sort(), NAMES.map(([, shown]) => shown).sort());
  const matches = (await ws.text('search_files', { pattern: '^I am' })).split('\n');
  t.same(matches.sort(), NAMES.map(([, shown]) => `${shown}:1: I am ${shown}`).sort());
  for (const [, shown] of NAMES) {
    for (const path of [shown, `/workspace/${shown}`, `./${shown}`]) {
      t.equal(await ws.text('read_file', { path }), `I am ${shown}\n`, path);
    }
    await ws.text('edit_file', { path: shown, old_text: 'I am', new_text: 'Edited' });
    t.match(await ws.text('write_file', { path: shown, content: 'new' }), `Replaced ${shown} (`);
    t.equal(await ws.text('read_file', { path: shown }), 'new');
  }
  t.equal((await ws.text('list_files', {})).split('\n').length, NAMES.length, 'nothing was made beside them');
});

t.test('folders with such names are gone through, and take new files', async (t) => {
  const ws = await startWorkspace(t);
  for (const [name] of NAMES) mkdirSync(Buffer.concat([bytes(`${ws.root}/`), name]));
  for (const [, shown] of NAMES) {
    t.match(
      await ws.text('write_file', { path: `${shown}/deep/new.txt`, content: shown }),
      `Created ${shown}/deep/new.txt`,
    );
    t.same(blocksOf(await ws.call('list_files', { path: shown, recursive: true })), [
      `deep/\ndeep/new.txt (${Buffer.byteLength(shown)} bytes)`,
    ]);
  }
  t.equal((await ws.text('list_files', {})).split('\n').length, NAMES.length);
  t.equal((await ws.text('search_files', { glob: 'new.txt' })).split('\n').length, NAMES.length);
});

t.test('a path may be quoted as a whole, and with octal escapes, as git does', async (t) => {
  const ws = await startWorkspace(t);
  mkdirSync(join(ws.root, 'dir'));
  writeFileSync(Buffer.concat([bytes(`${ws.root}/dir/caf`), bytes(0xe9)]), 'found');
  for (const path of ['"dir/caf\\xe9"', '"dir/caf\\351"', 'dir/"caf\\xe9"']) {
    t.equal(await ws.text('read_file', { path }), 'found', path);
  }
});

t.test('a name that merely looks quoted is taken as it stands', async (t) => {
  const ws = await startWorkspace(t);
  t.match(await ws.text('write_file', { path: '"a"', content: 'literal' }), 'Created "\\"a\\""');
  t.equal(await ws.text('read_file', { path: '"a"' }), 'literal');
  writeFileSync(join(ws.root, 'a'), 'other');
  t.equal(await ws.text('read_file', { path: '"\\"a\\""' }), 'literal', 'its shown name always leads to it');
});

t.test('no quoted path leads out of the workspace', async (t) => {
  const ws = await startWorkspace(t);
  writeFileSync(join(ws.outside, 'secret'), 'secret');
  for (const path of [
    '"\\x2e\\x2e"/outside/secret',
    '"../outside/secret"',
    '"\\x2e\\x2e\\x2foutside\\x2fsecret"',
    '"/etc/passwd"',
  ]) {
    const result = await ws.call('read_file', { path });
    t.equal(result.isError, true, path);
    t.notMatch(textOf(result), 'secret\n');
    t.equal(
      (await ws.call('write_file', { path: `${path}-new`, content: '' })).isError ?? false,
      false,
      'a name like any other',
    );
  }
  t.equal(await ws.fault('read_file', { path: '"a\\x00"' }), 'NOT_FOUND');
});

t.test('a name that is copied by its looks leads to the one file that looks so', async (t) => {
  const ws = await startWorkspace(t);
  const names = [bytes('Screenshot 3.00\u202FPM.png'), bytes('u\u0308ber'), bytes('caf', 0xe9)];
  for (const name of names) {
    mkdirSync(Buffer.concat([bytes(`${ws.root}/`), name]));
    writeFileSync(Buffer.concat([bytes(`${ws.root}/`), name, bytes('/file')]), 'found');
  }
  for (const path of ['Screenshot 3.00 PM.png/file', '\u00FCber/file', 'caf\uFFFD/file']) {
    t.equal(await ws.text('read_file', { path }), 'found', path);
  }
  t.match(
    await ws.text('edit_file', { path: '\u00FCber/file', old_text: 'found', new_text: 'edited' }),
    '1 replacement',
  );
  writeFileSync(Buffer.concat([bytes(`${ws.root}/caf`), bytes(0xe8)]), 'two look so now');
  t.equal(await ws.fault('read_file', { path: 'caf\uFFFD' }), 'NOT_FOUND');
  t.match(await ws.text('write_file', { path: 'caf\uFFFD', content: 'new' }), 'Created', 'a new file is what was said');
  t.equal(await ws.fault('read_file', { path: 'missing/deep/file' }), 'NOT_FOUND');
});

t.test('a command cannot be started in a folder whose name is no text, and it says how to', async (t) => {
  const ws = await startWorkspace(t);
  mkdirSync(Buffer.concat([bytes(`${ws.root}/caf`), bytes(0xe9)]));
  const result = await ws.call('run_command', { command: 'pwd', cwd: '"caf\\xe9"' });
  t.match(textOf(result), /"caf\\xe9".*cd \$'…'/);
  t.match(blocksOf(await ws.call('run_command', { command: "cd $'caf\\xe9' && echo here" }))[0], 'here');
});

t.test('whatever bytes a path has, what is shown is one line of text that leads back to it', () => {
  assert(
    property(array(integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 30 }), (all) => {
      const path = Buffer.from(all.filter((byte) => byte !== 0x2f)).toString('latin1') as BytePath;
      const shown = shownPath(path);
      return meantPaths(shown)[0] === path && !/[\p{Cc}\u2028\u2029]/u.test(shown) && shown.isWellFormed();
    }),
  );
  assert(
    property(array(integer({ min: 32, max: 126 })), (all) => {
      const text = String.fromCharCode(...all);
      return meantPaths(text).at(-1) === toBytes(text);
    }),
  );
  return Promise.resolve();
});
