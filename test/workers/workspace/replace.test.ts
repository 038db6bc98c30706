import { array, assert, constantFrom, property, string } from 'fast-check';
import t from 'tap';
import { findText, lineOf, replaceText } from '../../../workers/workspace/replace.js';

const edit = (text: string, wanted: string, given: string, all = false): string | undefined => {
  const found = findText(text, wanted, all);
  return found.length === 0 || (found.length > 1 && !all) ? undefined : replaceText(text, found, given);
};

const CASES: [what: string, text: string, wanted: string, given: string, result: string | undefined][] = [
  ['a text as it is', 'a\nb\n', 'a\nb', 'c', 'c\n'],
  ['\\n in a file with \\r\\n', 'a\r\nb\r\n', 'a\nb\n', 'x\ny\n', 'x\r\ny\r\n'],
  ['\\r\\n in a file with \\n', 'a\nb\n', 'a\r\nb', 'x\r\ny', 'x\ny\n'],
  ['new lines in one line of a file with \\r\\n', 'a\r\nb\r\n', 'b', 'x\ny', 'a\r\nx\r\ny\r\n'],
  ['new lines in the last line of a file with \\r\\n', 'a\r\nb', 'b', 'x\ny', 'a\r\nx\r\ny'],
  ['the old Macintosh’s line ends', 'a\rb\rc', 'a\nb', 'x\ny', 'x\ry\rc'],
  ['each place its own line end', 'a\nb\r\nc\r\n', 'b\nc', 'x\ny', 'a\nx\r\ny\r\n'],
  ['a file without line ends', 'ab', 'b', 'x\ny', 'ax\ny'],
  ['the end of a file that ends in no line end', 'a\nb', 'b\n', 'x\n', 'a\nx'],
  ['the same with \\r\\n', 'a\r\nb', 'a\nb\n', 'x\ny\n', 'x\r\ny'],
  ['a line end alone is none at the end', 'a', '\n', 'x', undefined],
  ['a mark stays when its line goes', '\uFEFFa\nb', '\uFEFFa\n', '', '\uFEFFb'],
  ['a mark is not doubled', '\uFEFFa\nb', 'a\n', '\uFEFFx\n', '\uFEFFx\nb'],
  ['a mark that the file lacks', 'a\nb', '\uFEFFa', 'x', 'x\nb'],
  ['patterns of a replacement', 'a\r\nb', 'a\nb', '$& $1 $$', '$& $1 $$'],
  ['an exact place before others', 'a\nb a\r\nb', 'a\nb', 'x', 'x a\r\nb'],
  ['a pair as one line end', 'a\r\nb', '\nb', 'b', 'ab'],
  ['no match', 'a\r\nb', 'a\n\nb', 'x', undefined],
];

for (const [what, text, wanted, given, result] of CASES) {
  t.test(`an edit handles: ${what}`, async (t) => t.equal(edit(text, wanted, given), result));
}

t.test('with all, a text counts with whatever line ends it has', async (t) => {
  t.equal(edit('a\nb a\r\nb a\rb', 'a\nb', 'x', true), 'x x x');
  t.equal(edit('a\r\nb\r\na', 'a\n', 'x\n', true), 'x\r\nb\r\nx');
});

t.test('lines are counted by any line end', async (t) => t.equal(lineOf('a\r\nb\nc\rd', 7), 4));

t.test('an edit in a file with \\r\\n is the edit of the same file with \\n', async () => {
  const piece = constantFrom('a', 'b', '\n', 'ab\n', ' ', '\n\n');
  assert(
    property(
      array(piece, { maxLength: 40 }),
      array(piece, { minLength: 1, maxLength: 4 }),
      string(),
      (all, some, new_) => {
        const [text, wanted, given] = [all.join(''), some.join(''), new_.replaceAll('\r', '')];
        if (!text.includes('\n')) return true;
        const windows = edit(text.replaceAll('\n', '\r\n'), wanted, given, true);
        return windows === edit(text, wanted, given, true)?.replaceAll('\n', '\r\n');
      },
    ),
  );
});
