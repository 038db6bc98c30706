import { array, assert, constantFrom, nat, property, string } from 'fast-check';
import t from 'tap';
import { HeadTail } from '../../../workers/workspace/output.js';

t.test('what fits is kept exactly, however it was cut into pieces', async (t) => {
  assert(
    property(string({ unit: 'grapheme', maxLength: 300 }), array(nat(50)), (text, cuts) => {
      const clean = text.replaceAll('\0', '');
      const bytes = Buffer.from(clean, 'utf8');
      const kept = new HeadTail(Math.max(1, Math.ceil(bytes.length / 2)));
      pushInPieces(kept, bytes, cuts);
      return kept.toText().text === bytes.toString('utf8') && kept.bytes === bytes.length;
    }),
  );
  t.pass();
});

t.test(
  'of what does not fit the beginning and the end are kept, whole characters, and the rest is counted',
  async (t) => {
    assert(
      property(
        array(constantFrom('a', 'é', '€', '🚀'), { minLength: 60, maxLength: 400 }),
        array(nat(50)),
        (units, cuts) => {
          const bytes = Buffer.from(units.join(''), 'utf8');
          const kept = new HeadTail(20);
          pushInPieces(kept, bytes, cuts);
          const { text, omittedBytes } = kept.toText();
          const [head = '', tail = ''] = text.split(/\n\[…[^\n]*…\]\n/);
          const all = units.join('');
          return (
            all.startsWith(head) &&
            all.endsWith(tail) &&
            Buffer.byteLength(head) > 16 &&
            Buffer.byteLength(tail) > 16 &&
            Buffer.byteLength(head) + Buffer.byteLength(tail) + omittedBytes === bytes.length
          );
        },
      ),
    );
    t.pass();
  },
);

function pushInPieces(kept: HeadTail, bytes: Buffer, cuts: number[]): void {
  let at = 0;
  for (const cut of cuts) {
    kept.push(bytes.subarray(at, at + cut));
    at = Math.min(bytes.length, at + cut);
  }
  kept.push(bytes.subarray(at));
}
