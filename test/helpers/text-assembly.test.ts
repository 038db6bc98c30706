import * as fc from 'fast-check';
import t from 'tap';
import { TextAssembly } from './text-assembly.js';

t.test('pieces that repeat, overlap or are cut anywhere give the whole text', async (t) => {
  const property = fc.property(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }),
    fc.array(fc.tuple(fc.nat(200), fc.nat(40)), { maxLength: 30 }),
    (whole, cuts) => {
      const assembly = new TextAssembly('text');
      for (const [from, length] of cuts) {
        const offset = Math.min(from, assembly.text.length);
        assembly.add(offset, whole.slice(offset, offset + length));
      }
      assembly.add(assembly.text.length, whole.slice(assembly.text.length));
      assembly.finish(whole);
      return assembly.text === whole && assembly.problems.length === 0;
    },
  );
  t.doesNotThrow(() => fc.assert(property));
});

t.test('a missing piece is a problem', async (t) => {
  const assembly = new TextAssembly('text');
  assembly.add(0, 'ab');
  assembly.add(3, 'd');
  t.equal(assembly.problems.length, 1);
});

t.test('a repeated piece that differs is a problem', async (t) => {
  const assembly = new TextAssembly('text');
  assembly.add(0, 'abc');
  assembly.add(1, 'xc');
  t.equal(assembly.problems.length, 1);
});

t.test('a finished block that differs from what was streamed is a problem, and the finished one stands', async (t) => {
  const assembly = new TextAssembly('text');
  assembly.add(0, 'abc');
  assembly.finish('abcd');
  t.equal(assembly.problems.length, 1);
  t.equal(assembly.text, 'abcd');
});

t.test('a finished block without streamed pieces, as in a replay, is fine', async (t) => {
  const assembly = new TextAssembly('text');
  assembly.finish('abc');
  t.same(assembly.problems, []);
});
