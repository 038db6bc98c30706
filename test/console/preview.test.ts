import t from 'tap';
import { previewOf } from '../../console/src/model/preview.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

t.test('a table is read as spreadsheets write it', async (t) => {
  t.same(previewOf('a.csv', bytes('a,b\r\n"x, ""y""\nz",2\r\n')), {
    kind: 'table',
    rows: [
      ['a', 'b'],
      ['x, "y"\nz', '2'],
    ],
    isCut: false,
  });
  t.match(previewOf('a.csv', bytes('a;b\n1;2')), {
    rows: [
      ['a', 'b'],
      ['1', '2'],
    ],
  });
  t.match(previewOf('a.tsv', bytes('a\tb')), { rows: [['a', 'b']] });
  t.match(previewOf('a.csv', bytes('a\n'.repeat(1_000))), { isCut: true });
});

t.test('the bytes say what a file is, not its name', async (t) => {
  t.match(previewOf('a.txt', Uint8Array.of(0x89, 0x50, 0x4e, 0x47)), { kind: 'picture', type: 'image/png' });
  t.match(previewOf('a.png', bytes('<svg onload=alert(1)>')), { kind: 'text' });
  t.match(previewOf('a.svg', bytes('<svg onload=alert(1)>')), { kind: 'text' });
  t.match(previewOf('a.txt', Uint8Array.of(1, 0, 2)), { kind: 'none' });
  t.match(previewOf('empty', new Uint8Array()), { kind: 'text', text: '' });
});
