import { array, assert, constantFrom, nat, property, string } from 'fast-check';
import t from 'tap';
import { asShown, TerminalScreen } from '../../../src/shared/terminal-screen.js';

const ESC = '\u001B';

const CASES: [what: string, printed: string, shown: string][] = [
  ['text', 'a\n\tb  \n\n', 'a\n\tb  \n\n'],
  ['pairs of line ends', 'a\r\nb\r\r\n', 'a\nb\n'],
  ['a carriage return', '10 %\r50 %\r100 %\n', '100 %\n'],
  ['a shorter row over a longer one', 'downloading\rdone', 'doneloading'],
  ['an erased row', `downloading\r${ESC}[Kdone`, 'done'],
  ['a row that is erased to its beginning', `abc${ESC}[1Kd`, '   d'],
  ['backspaces', 'a|\b/\b-\b\\\b \bb', 'ab'],
  ['bold letters of a manual page', 'N\bNA\bAME', 'NAME'],
  ['colours', `${ESC}[1;31mred${ESC}[0m ${ESC}[38;5;12mblue${ESC}[m`, 'red blue'],
  ['a title and a link', `${ESC}]0;title\u0007${ESC}]8;;http://x${ESC}\\text${ESC}]8;;${ESC}\\`, 'text'],
  ['a sequence of eight bits', 'a\u009B31mb', 'ab'],
  ['rows that are written again', `one\ntwo\n${ESC}[2AONE\nTWO\nthree\n`, 'ONE\nTWO\nthree\n'],
  ['rows by columns', `ab${ESC}[5Gcd${ESC}[2Dx${ESC}[1Cy`, 'ab  xdy'],
  ['rows at their beginning', `a\nb\n${ESC}[2FA${ESC}[1EB`, 'A\nB\n'],
  ['a saved place', `${ESC}7abc${ESC}8x`, 'xbc'],
  ['letters put in and taken out', `abc\r${ESC}[2@x${ESC}[3G${ESC}[Py`, 'x yc'],
  ['an erased rest of the screen', `a\nb\nc${ESC}[2A\r${ESC}[Jd`, 'd'],
  ['an erased screen', `old\nold\n${ESC}[H${ESC}[2Jnew`, 'new'],
  ['a full-screen program that ends', `before\n${ESC}[?1049h${ESC}[Hscreen${ESC}[?1049lafter`, 'before\nafter'],
  ['a full-screen program that is killed', `before\n${ESC}[?1049hscreen`, 'before\n\nscreen'],
  ['wide letters', '日本語 10%\r日本語 100%', '日本語 100%'],
  ['half of a wide letter', '日本\r\u001B[Cx', ' x本'],
  ['a letter over a tab', 'a\tb\rxyz', 'xyz     b'],
  ['marks on letters', 'e\u0301a\rx', 'xa'],
  ['bells and other silent characters', 'a\u0007\u000Eb\u007F', 'ab'],
  ['names that end in NUL', 'a\0b\0', 'a\uFFFDb\uFFFD'],
  ['a sequence that is none', `a${ESC}[31\u0001mb`, 'a31mb'],
  ['a question of a program', `a${ESC}[6n${ESC}[?25l${ESC}(B${ESC}=b`, 'ab'],
];

for (const [what, printed, shown] of CASES) {
  t.test(`a terminal shows ${what}`, async (t) => t.equal(asShown(printed), shown));
}

const inPieces = (text: string, cuts: readonly number[]): string => {
  const parts: string[] = [];
  const screen = new TerminalScreen((part) => parts.push(part));
  let at = 0;
  for (const cut of cuts) {
    screen.write(text.slice(at, at + cut));
    at += cut;
  }
  screen.write(text.slice(at));
  screen.end();
  return parts.join('');
};

t.test('it does not matter how the output was cut into pieces', async () => {
  const pieces = constantFrom(...CASES.map(([, printed]) => printed), '\n', '\r', ESC, '[2A', '日');
  assert(
    property(array(pieces, { maxLength: 30 }), array(nat(7), { maxLength: 200 }), (all, cuts) => {
      const text = all.join('');
      return inPieces(text, cuts) === inPieces(text, []);
    }),
  );
});

t.test('a link whose end was cut in two is dropped whole, and a title that another sequence ends', async (t) => {
  t.equal(inPieces(`${ESC}]8;;http://x${ESC}\\text`, [13]), 'text');
  t.equal(inPieces(`${ESC}]0;title${ESC}[31mred`, []), 'red');
});

t.test('the cursor goes back fifty rows and no further, however the output was cut', async (t) => {
  const text = `${Array.from({ length: 80 }, (_, index) => `${index}\n`).join('')}${ESC}[70AX`;
  const shown = inPieces(text, []).split('\n');
  t.equal(shown[31], 'X1');
  t.same(
    inPieces(
      text,
      Array.from(text, () => 1),
    ).split('\n'),
    shown,
  );
});

t.test('text without control characters stays as it is, however much', async () => {
  assert(
    property(array(string({ unit: 'grapheme' })), array(nat(50)), (lines, cuts) => {
      // oxlint-disable-next-line no-control-regex -- those are the others
      const text = lines.join('\n').replaceAll(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g, '');
      return inPieces(text.repeat(30), cuts) === text.repeat(30);
    }),
  );
});

t.test('what has scrolled away leaves at once, also a row without an end', async (t) => {
  let kept = 0;
  let passed = 0;
  let most = 0;
  const screen = new TerminalScreen((part) => (passed += part.length));
  for (let chunk = 0; chunk < 1_000; chunk++) {
    const text = chunk > 100 && chunk % 2 === 0 ? 'line\n'.repeat(2_000) : 'x'.repeat(10_000);
    kept += text.length;
    screen.write(text);
    most = Math.max(most, kept - passed);
  }
  screen.end();
  t.ok(most < 20_000);
  t.equal(passed, kept);
});

t.test('a hundred thousand steps of a progress bar are one row', async (t) => {
  const bar = Array.from({ length: 100_000 }, (_, step) => `\r${step} of 100000 [${'#'.repeat(step % 60).padEnd(60)}]`);
  const shown = asShown(`begin\n${bar.join('')}\nend\n`);
  t.equal(shown.split('\n').length, 4);
  t.match(shown, /^begin\n99999 of 100000 \[#+ +\]\nend\n$/);
});

t.test('whatever a program prints, the cursor stays on the screen', async () => {
  const numbers = constantFrom('', '0', '1', '3', '99999999999', '1;5', '?1049', '?25', ';', '-1');
  const kinds = constantFrom(...Array.from('ABCDEFGHJKPX@dfhlmnsu`ae'));
  const piece = constantFrom(
    'text',
    '日本',
    '\n',
    '\r',
    '\b',
    '\t',
    `${ESC}7`,
    `${ESC}8`,
    `${ESC}M`,
    `${ESC}D`,
    `${ESC}c`,
  );
  const sequence = property(
    array(array(numbers, { minLength: 1, maxLength: 1 }), { maxLength: 60 }),
    array(kinds, { minLength: 60, maxLength: 60 }),
    array(piece, { minLength: 60, maxLength: 60 }),
    (all, ends, texts) => {
      const text = all.map(([number], index) => `${texts[index]}${ESC}[${number}${ends[index]}`).join('');
      const shown = asShown(text);
      // oxlint-disable-next-line no-control-regex -- as above
      return !/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/.test(shown) && shown.length < 600_000;
    },
  );
  assert(sequence);
});
