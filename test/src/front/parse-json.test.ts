import { assert, json, property } from 'fast-check';
import t from 'tap';
import { checkJson, parseJson } from '../../../src/front/parse-json.js';

t.test('it parses what users and programs send as JSON.parse does', async (t) => {
  assert(
    property(json({ maxDepth: 5 }), (text) => t.same(parseJson(text), JSON.parse(text))),
    {
      numRuns: 50,
    },
  );
  const prose = 'He said: "a, b [c] {d}: \\ e", and so on\n'.repeat(25_000);
  t.equal((parseJson(JSON.stringify({ prose })) as { prose: string }).prose, prose, 'what stands in a string is text');
  const args = Object.fromEntries(Array.from({ length: 4_000 }, (_, key) => [`key ${key}`, 'x'.repeat(100)]));
  t.same(parseJson(JSON.stringify(args)), args);
});

t.test('too many keys, elements or brackets are refused before they are built', async (t) => {
  const keys = Object.fromEntries(Array.from({ length: 10_000 }, (_, key) => [`k${key}`, 1]));
  for (const text of [JSON.stringify(keys), JSON.stringify(Array(10_010).fill(1)), `[${'{},'.repeat(10_000)}`]) {
    t.throws(() => parseJson(text), { name: 'SyntaxError', message: /more than 10000 parts/ });
  }
});

t.test('a string without an end is refused by JSON.parse', async (t) => {
  const text = `{"a":"${'x'.repeat(5_000)}\\"`;
  t.throws(() => parseJson(text), { name: 'SyntaxError', message: /Unterminated string/ });
});

t.test('a value that is nested too deeply is refused, however short', async (t) => {
  t.doesNotThrow(() => parseJson('['.repeat(100) + ']'.repeat(100)));
  for (const text of ['['.repeat(101) + ']'.repeat(101), '{"a":'.repeat(101), '['.repeat(20_000)]) {
    t.throws(() => checkJson(text), { name: 'SyntaxError', message: /more than 100 levels/ });
  }
  const wide = JSON.stringify(Array.from({ length: 2_000 }, () => [[{}]]));
  t.doesNotThrow(() => checkJson(wide), 'what is closed does not count');
  t.doesNotThrow(() => checkJson(JSON.stringify('['.repeat(500))), 'what stands in a string is text');
});
