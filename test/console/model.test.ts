import t from 'tap';
import { runsOf } from '../../console/src/model/ansi.js';
import { fieldsOf, readForm } from '../../console/src/model/form.js';
import { pieces } from '../../console/src/model/pieces.js';
import { oneLine, safeLink, terminalText, visible } from '../../console/src/model/plain.js';
import { costWords, durationWords, leftWords } from '../../console/src/model/words.js';

t.test('links lead to the web and to mailboxes alone', async (t) => {
  for (const good of ['https://a.example/x?y#z', 'http://10.0.0.1', 'mailto:a@b.example'])
    t.equal(safeLink(good), good);
  const bad = [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    ' javascript:x',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc',
    '//evil.example',
    '/auth/logout',
    'https://',
    'blob:https://x',
    '',
    undefined,
  ];
  for (const each of bad) t.equal(safeLink(each), undefined, String(each));
});

t.test('control characters and what turns text around are seen', async (t) => {
  t.equal(visible('a\u0000b\u001Bc\u007F\u009B'), 'a\u2400b\u241Bc\u2421<9B>');
  t.equal(visible('exe.\u202Egpj'), 'exe.<U+202E>gpj');
  t.equal(visible('a\r\nb\tc'), 'a\nb\tc');
  t.equal(visible('👩‍💻 می‌خواهم'), '👩‍💻 می‌خواهم', 'joiners that scripts and emoji need stay');
  t.equal(oneLine('a\n\n b', 10), 'a b');
  t.equal(oneLine('x'.repeat(500), 10), `${'x'.repeat(10)}…`);
});

t.test('a terminal’s colours and moves go, and a line that is written anew shows its last text', async (t) => {
  t.equal(terminalText('\u001B[31mred\u001B[0m \u001B]0;title\u0007x'), 'red x');
  t.equal(terminalText('10%\r50%\r100%\ndone\r\n'), '100%\ndone\n');
  t.equal(terminalText('\u001B]8;;https://evil.example\u001B\\here\u001B]8;;\u001B\\'), 'here');
  t.equal(terminalText('\u001B'), '');
});

t.test('an attack of ten million characters is made harmless in a moment', async (t) => {
  const before = performance.now();
  for (const piece of ['\u001B[', '\u001B]', '\u001BP', '\r', '\u202E', '\u001B[31m', '\u001B[;;;']) {
    terminalText(piece.repeat(65_536 / piece.length));
  }
  terminalText('x'.repeat(10_000_000));
  t.ok(performance.now() - before < 10_000, `${Math.round(performance.now() - before)} ms`);
});

t.test('a text is cut between paragraphs alone, and nothing of it is lost', async (t) => {
  const text = 'one\n\ntwo\ntwo\n\n```\na\n\nb\n```\n\n- x\n\n- y\n\n  z\n\n1. p\n\nend';
  const cut = pieces(text);
  t.equal(cut.join('\n'), text);
  t.same(
    cut.map((piece) => piece.split('\n')[0]),
    ['one', 'two', '```', 'end'],
  );
  t.same(pieces('````\n```\n\n# x\n'), ['````\n```\n\n# x\n'], 'a shorter fence ends none');
});

t.test('a form has the fields of its schema, and reads what was entered by their kinds', async (t) => {
  const fields = fieldsOf({
    type: 'object',
    required: ['city'],
    properties: {
      city: { type: 'string', title: 'City', description: 'Where?' },
      days: { type: 'integer', default: 3 },
      loud: { type: 'boolean' },
      unit: { type: 'string', enum: ['c', 'f'], enumNames: ['Celsius', 'Fahrenheit'] },
      size: { oneOf: [{ const: 's', title: 'Small' }] },
    },
  });
  t.match(fields, [
    { name: 'city', label: 'City', hint: 'Where?', required: true, kind: 'text' },
    { name: 'days', kind: 'integer', initial: '3' },
    { name: 'loud', kind: 'boolean' },
    { options: [{ value: 'c', label: 'Celsius' }, { value: 'f' }] },
    { options: [{ value: 's', label: 'Small' }] },
  ]);
  const entered = new FormData();
  entered.set('city', 'Ljubljana');
  entered.set('days', '2');
  entered.set('unit', '');
  t.same(readForm(fields, entered), { content: { city: 'Ljubljana', days: 2, loud: false } });
  entered.set('days', '2.5');
  t.match(readForm(fields, entered), { problem: /days is no whole number/ });
  t.same(fieldsOf(undefined), []);
  t.same(fieldsOf({ properties: 'x' }), []);
});

t.test('times and costs in words', async (t) => {
  t.same([durationWords(41), durationWords(1_540), durationWords(125_000)], ['41 ms', '1.5 s', '2 min 5 s']);
  t.same([leftWords(5_000, 0), leftWords(272_000, 0), leftWords(0, 9)], ['5 s', '4:32', '0 s']);
  t.same(
    [costWords({ amount: 0.0072, currency: 'USD' }), costWords({ amount: 4.2, currency: 'EUR' })],
    ['0.0072 USD', '4.20 EUR'],
  );
});

t.test('colours of a terminal become names of styles, and what it writes over is gone', async (t) => {
  t.same(runsOf('a \u001B[31mred\u001B[0m b'), [
    { text: 'a ', style: '' },
    { text: 'red', style: 'ansi-1' },
    { text: ' b', style: '' },
  ]);
  t.same(runsOf('\u001B[1;32mok\n\u001B[39mbold\u001B[m'), [
    { text: 'ok\n', style: 'ansi-2 ansi-bold' },
    { text: 'bold', style: 'ansi-bold' },
  ]);
  t.same(runsOf('\u001B[31m10%\r100%'), [{ text: '100%', style: 'ansi-1' }], 'the colour goes on');
  t.same(runsOf('\u001B[38;5;200mx\u001B[48;2;1;2;3my\u001B[38:2::1:2:3mz'), [{ text: 'xyz', style: '' }]);
  t.same(runsOf('\u001B[2J\u001B[Hx\u001B]0;t\u0007\u202E'), [{ text: 'x<U+202E>', style: '' }], 'moves do nothing');
  t.same(runsOf(`\u001B[${'1;'.repeat(10_000)}mx`), [{ text: 'x', style: '' }], 'a long one is none');
  t.same(runsOf(`${'\r'.repeat(1_000_000)}x`), [{ text: 'x', style: '' }], 'a row of returns takes no time');
  t.equal(terminalText(`${'\r'.repeat(1_000_000)}x`), 'x');
});
