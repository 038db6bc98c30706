import { createHash } from 'node:crypto';
import t from 'tap';
import { makeToken, tokenText } from '../../../src/cli/token.js';
import { parseConfig } from '../../../src/shared/config.js';

t.test('the configuration takes the printed line, and its hash is that of the printed token', async (t) => {
  const [token = '', line = '', ...rest] = tokenText(makeToken('user-1'), true).split('\n');
  t.strictSame(rest, ['']);
  t.match(token, /^flt_[\w-]{43}$/);
  const entry = JSON.parse(line) as { user: string; sha256: string };
  t.strictSame(entry, { user: 'user-1', sha256: createHash('sha256').update(token).digest('hex') });
  t.strictSame(parseConfig({ auth: { tokens: [entry] } }, {}).auth.tokens, [{ ...entry, role: 'user', groups: [] }]);
});

t.test('two tokens are never the same, and the long text holds both lines', async (t) => {
  const [one, two] = [makeToken('a'), makeToken('a')];
  t.not(one.token, two.token);
  const lines = tokenText(one, false).split('\n');
  t.ok(lines.includes(one.token));
  t.ok(lines.some((line) => line.includes(one.entry.sha256)));
});

t.test('a name that the configuration would not take is refused', async (t) => {
  for (const name of ['', 'a b', 'ü', 'x'.repeat(129), '..', 'a"b']) {
    t.throws(() => makeToken(name), { code: 'ERR_CONFIG' }, name);
  }
});
