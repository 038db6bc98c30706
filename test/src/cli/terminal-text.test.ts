import t from 'tap';
import { advance, clean, cut, inline } from '../../../src/cli/terminal-text.js';
import { escapeControls } from '../../../src/shared/control-characters.js';

t.test('text of others keeps its lines and tabs, and loses what a terminal would obey', async (t) => {
  t.equal(clean('a\tb\nc'), 'a\tb\nc');
  t.equal(clean('\u001B[31mred\u001B[0m'), 'red');
  t.equal(clean('\u001B]0;title\u0007x'), 'x');
  t.equal(clean('\u001B]52;c;ZXZpbA==\u0007x'), 'x', 'the clipboard is not theirs');
  t.equal(clean('\u001Bc\u0000\u0008\u007F\u009B2J'), '');
  t.equal(clean('one\r\ntwo\rthree\r'), 'one\ntwo\nthree', 'a progress bar becomes lines');
  t.equal(clean('safe\u202Eevil'), 'safeevil', 'nothing is shown in another order');
  t.notMatch(clean('\u001B'), '\u001B', 'a sequence cut in two pieces');
  t.equal(clean('grüße 世界 👍'), 'grüße 世界 👍');
});

t.test('names and arguments are one line on which nothing hides', async (t) => {
  t.equal(inline({ a: 'x\u001B[2Jy' }), String.raw`{"a":"x\u001b[2Jy"}`);
  t.equal(inline('a\nb\u009B'), String.raw`a\nb\u009b`);
  t.equal(escapeControls('a\nb\u202E'), 'a\nb\\u202e');
  t.equal(inline('abcdef', 4), 'abc…');
  t.equal(cut('ab👍cd', 4), 'ab…', 'no half of a pair');
});

t.test('the cursor is where a terminal would have it', async (t) => {
  t.equal(advance(0, 'abc', 10), 3);
  t.equal(advance(3, 'x\nab', 10), 2);
  t.equal(advance(0, '0123456789', 10), 10, 'full, not wrapped yet');
  t.equal(advance(10, 'a', 10), 1);
  t.equal(advance(9, '世', 10), 2, 'a wide one does not split');
  t.equal(advance(0, 'e\u0301', 10), 1);
  t.equal(advance(0, 'a\tb', 20), 9);
  t.equal(advance(0, '\u001B[2mab\u001B[22m', 10), 2);
});
