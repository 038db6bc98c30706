import t from 'tap';
import { parsePromptArgs } from '../../../../src/cli/chat/prompt-args.js';

const known = [{ name: 'who', required: true }, { name: 'how' }];

t.test('arguments are given by name, or in their order; the last one takes what is left', async (t) => {
  t.same(parsePromptArgs('Ada', known), { who: 'Ada' });
  t.same(parsePromptArgs('Ada very kindly indeed', known), { who: 'Ada', how: 'very kindly indeed' });
  t.same(parsePromptArgs('how=kindly Ada', known), { who: 'Ada', how: 'kindly' });
  t.same(parsePromptArgs('who="Ada Lovelace" so=so', known), { who: 'Ada Lovelace', how: 'so=so' });
  t.same(parsePromptArgs("'Ada L' x", known), { who: 'Ada L', how: 'x' });
  t.same(parsePromptArgs('', [{ name: 'how' }]), {});
  t.same(parsePromptArgs(`it's "half`, [{ name: 'a' }]), { a: `it's "half` });
});

t.test('what is missing, and what is too much, is said', async (t) => {
  t.throws(() => parsePromptArgs('', known), { code: 'ERR_TOOL_ARGS', message: /who=/ });
  t.throws(() => parsePromptArgs('x', []), { code: 'ERR_TOOL_ARGS' });
  t.throws(() => parsePromptArgs('who=a how=b c', known), { code: 'ERR_TOOL_ARGS' });
});

t.test('an argument that is called like a part of an object is but a name', async (t) => {
  t.equal(Object.getPrototypeOf(parsePromptArgs('__proto__=x', [{ name: '__proto__' }])), Object.prototype);
});
