import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import t, { type Test } from 'tap';
import { join } from 'node:path';
import { tokenFor } from '../../../src/cli/local-token.js';
import { makeTokenFile } from '../../../src/shared/token-file.js';

function folder(t: Test): { cwd: string; token: string; env: Record<string, string> } {
  const cwd = mkdtempSync(join(tmpdir(), 'fl-local-'));
  t.teardown(() => rmSync(cwd, { recursive: true, force: true }));
  return { cwd, token: makeTokenFile(cwd), env: { FAIRLEAD_DATA: cwd } };
}

t.test('a given token is sent, then the environment’s, then that of the data folder', async (t) => {
  const { cwd, token, env } = folder(t);
  const url = 'http://127.0.0.1:1';
  t.equal(tokenFor({ given: 'a', url, env: { ...env, FAIRLEAD_TOKEN: 'b' }, cwd }).token, 'a');
  t.equal(tokenFor({ given: undefined, url, env: { ...env, FAIRLEAD_TOKEN: 'b' }, cwd }).token, 'b');
  t.equal(tokenFor({ given: undefined, url, env: { ...env, FAIRLEAD_TOKEN: '' }, cwd }).token, token);
  t.equal(tokenFor({ given: undefined, url, env: {}, cwd }).token, undefined, 'there is no fairlead-data here');
});

t.test('root’s token of an installed service goes to this machine alone, before that of the data folder', async (t) => {
  const { cwd, env } = folder(t);
  const given = { ...env, FAIRLEAD_LOCAL_TOKEN: 'r' };
  t.equal(tokenFor({ given: undefined, url: 'http://127.0.0.1:1', env: given, cwd }).token, 'r');
  t.equal(
    tokenFor({ given: undefined, url: 'http://127.0.0.1:1', env: { ...given, FAIRLEAD_TOKEN: 'b' }, cwd }).token,
    'b',
  );
  t.equal(tokenFor({ given: undefined, url: 'https://ai.example.org', env: given, cwd }).token, undefined);
});

t.test('the data folder’s token goes to this machine alone', async (t) => {
  const { cwd, token, env } = folder(t);
  for (const url of ['localhost:1', 'http://127.0.0.1:1', 'ws://[::1]:1', 'https://127.0.0.2:1']) {
    t.equal(tokenFor({ given: undefined, url, env, cwd }).token, token, url);
  }
  for (const url of [
    'https://ai.example.org',
    'http://192.0.2.1:1',
    'localhost.example.org',
    'http://127.0.0.1.example.org',
  ]) {
    t.equal(tokenFor({ given: undefined, url, env, cwd }).token, undefined, url);
  }
});
