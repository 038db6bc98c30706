/** The manual page by the two programs that read such pages; `npm test` installs them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { findProgram } from '../helpers/programs.js';
import { runCli } from '../src/cli/spawn-cli.js';

/** Bold is a character, a step back and the character again. */
const BACKSPACE = String.fromCodePoint(8);

t.test('neither man nor mandoc has a word to say of it, and it has every command', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fl-man-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const { code, stdout } = await runCli(t, ['man'], { env: { SOURCE_DATE_EPOCH: '1700000000' } });
  t.equal(code, 0);
  t.match(stdout, /^\.TH FAIRLEAD 1 2023-11-14 "Fairlead /m);
  const file = join(folder, 'fairlead.1');
  writeFileSync(file, stdout);
  const env = { ...process.env, LC_ALL: 'C.UTF-8', MANROFFSEQ: '', MANWIDTH: '80' };
  const groff = spawnSync(findProgram('groff') ?? 'groff', ['-man', '-Tutf8', '-ww', file], { env, encoding: 'utf8' });
  t.match(groff, { status: 0, stderr: '' });
  const mandoc = spawnSync(findProgram('mandoc') ?? 'mandoc', ['-Tlint', '-Wwarning', file], { encoding: 'utf8' });
  t.match(mandoc, { status: 0, stdout: '', stderr: '' });
  const read = spawnSync(findProgram('mandoc') ?? 'mandoc', ['-Tascii', file], { encoding: 'utf8' }).stdout;
  const plain = read
    .split('')
    .reduce((text, character) => (character === BACKSPACE ? text.slice(0, -1) : text + character), '');
  const help = await runCli(t, ['--help']);
  const commands = [...help.stdout.matchAll(/^ {2}([a-z]+)\b/gm)].map(([, name = '']) => name);
  t.ok(commands.length > 8, commands.join(' '));
  for (const name of commands) if (name !== 'help') t.match(plain, new RegExp(`fairlead ${name}`), name);
  t.match(plain, /Exit codes: 0 done/);
});
