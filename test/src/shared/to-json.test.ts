import * as fc from 'fast-check';
import t from 'tap';
import { toJson, withoutHalves } from '../../../src/shared/to-json.js';

t.test('half a surrogate pair becomes U+FFFD, in names and values alike', async (t) => {
  const json = toJson({ 'a\udc00': ['a\ud83d b', '👋'] });
  t.same(JSON.parse(json), { 'a\ufffd': ['a\ufffd b', '👋'] });
  t.equal(json.length, JSON.stringify({ 'a\udc00': ['a\ud83d b', '👋'] }).length, 'no byte moves');
});

t.test('a text that only looks like an escape stays', async (t) => {
  const value = ['\\ud83d', '\\\\ud83d', '\\\ud83d'];
  t.same(JSON.parse(toJson(value)), ['\\ud83d', '\\\\ud83d', '\\\ufffd']);
});

t.test('all other JSON stays as it is, and none has a half', async () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      if (toJson(value) !== JSON.stringify(value)) throw new Error('changed');
    }),
  );
  const units = fc.array(fc.constantFrom('\\', 'u', 'd', '8', '3', '"', '\n', '\ud83d', '\udc4b'));
  fc.assert(
    fc.property(units, (parts) => {
      const text = parts.join('');
      if (JSON.parse(toJson(text)) !== text.toWellFormed()) throw new Error(JSON.stringify(text));
      if (withoutHalves(toJson(text)) !== toJson(text)) throw new Error('twice');
    }),
  );
});
