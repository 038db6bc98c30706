import * as fc from 'fast-check';
import t from 'tap';
import { cutText } from '../../../src/shared/cut-text.js';

t.test('text is cut before a pair that does not fit, and never within it', async (t) => {
  t.equal(cutText('ab👋cd', 3), 'ab');
  t.equal(cutText('ab👋cd', 4), 'ab👋');
  t.equal(cutText('ab', 2), 'ab');
  t.equal(cutText('👋', 0), '');
});

t.test('a cut leaves well-formed text well-formed and within its limit', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat({ max: 30 }), (text, max) => {
      const cut = cutText(text, max);
      return (
        cut.isWellFormed() && cut.length <= max && text.startsWith(cut) && cut.length >= Math.min(max, text.length) - 1
      );
    }),
  );
  t.pass();
});
