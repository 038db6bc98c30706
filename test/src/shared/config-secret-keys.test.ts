import t from 'tap';
import { parseConfig } from '../../../src/shared/config.js';

const [A, B, C] = ['ab'.repeat(32), 'cd'.repeat(32), 'ef'.repeat(32)];

function keys(env: Record<string, string>): readonly string[] {
  return parseConfig({}, env).secretKeys;
}

function refused(env: Record<string, string>): string {
  try {
    parseConfig({}, env);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

t.test('several keys keep their order, and the single one comes last', async (t) => {
  t.same(keys({}), []);
  t.same(keys({ FAIRLEAD_SECRET_KEY: '', FAIRLEAD_SECRET_KEYS: '' }), []);
  t.same(keys({ FAIRLEAD_SECRET_KEY: A }), [A]);
  t.same(keys({ FAIRLEAD_SECRET_KEYS: `${B}, ${A}` }), [B, A]);
  t.same(keys({ FAIRLEAD_SECRET_KEYS: `${B},${C}`, FAIRLEAD_SECRET_KEY: A }), [B, C, A]);
  t.same(keys({ FAIRLEAD_SECRET_KEYS: `${B},${A}`, FAIRLEAD_SECRET_KEY: A.toUpperCase() }), [B, A], 'each once');
});

t.test('what is no key is named by its place, and is not told', async (t) => {
  t.match(refused({ FAIRLEAD_SECRET_KEY: 'secret' }), /^configuration: FAIRLEAD_SECRET_KEY: must be 64 hex digits/);
  const several = refused({ FAIRLEAD_SECRET_KEYS: `${A},secret,` });
  t.match(several, /FAIRLEAD_SECRET_KEYS: key 2 must be 64 hex digits.*FAIRLEAD_SECRET_KEYS: key 3 must be/);
  t.notMatch(several, 'secret,');
  const nine = Array.from({ length: 9 }, (_, at) => `${at}`.repeat(64)).join(',');
  t.match(refused({ FAIRLEAD_SECRET_KEYS: nine }), /has 9 keys: 8 at most/);
});
