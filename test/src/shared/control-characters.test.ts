import { prettyFactory } from 'pino-pretty';
import t from 'tap';
import { escapeControlsInJson, escapeRawControls, quote } from '../../../src/shared/control-characters.js';

/** Sets a terminal's title, moves its cursor, and does both in eight-bit controls; a bell, a bare return, an override of direction. */
const NASTY = '\u001b]0;owned\u0007\u001b[2J\u009d0;owned\u009c\u009b2J\u007f\r\b\f\u202e';
// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

void t.test('a logged line shows a terminal no control character, and keeps its line breaks', async (t) => {
  const line = JSON.stringify({
    level: 50,
    msg: `say ${NASTY}`,
    err: { message: NASTY, stack: `a\n\tb ${NASTY}\\u001b` },
  });
  const shown = prettyFactory({ colorize: false })(escapeControlsInJson(line));
  t.notMatch(shown, OBEYED);
  t.match(shown, String.raw`say \u001b]0;owned\u0007\u001b[2J\u009d0;owned`);
  t.match(shown, /a\n.*b /);
});

void t.test('a JSON line means the same in characters that no terminal obeys', async (t) => {
  const value = { msg: NASTY, text: 'plain — ünïcödé 😀' };
  const line = escapeRawControls(JSON.stringify(value));
  t.notMatch(line, OBEYED);
  t.same(JSON.parse(line), value);
});

void t.test('quoted text is one line, bounded, without half a character at its end', async (t) => {
  t.equal(quote(' a\n\n b\tc '), 'a b c');
  t.equal(quote('\u001b[2J'), String.raw`\u001b[2J`);
  t.equal(quote('x'.repeat(600)), `${'x'.repeat(500)}…`);
  t.equal(quote(`${'x'.repeat(499)}😀`), `${'x'.repeat(499)}…`);
});
