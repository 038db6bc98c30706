import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { noProxy, openAccess } from '../../../src/boot/access.js';
import { Auth } from '../../../src/front/auth.js';
import { parseConfig, type Config } from '../../../src/shared/config.js';
import { hashToken } from '../../../src/shared/token-file.js';

function configOf(t: Test, auth: object): Config {
  const dir = mkdtempSync(join(tmpdir(), 'fl-access-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return parseConfig({ auth }, { FAIRLEAD_DATA: dir });
}

t.test('the first start makes the token of local, later ones keep it and show it no more', async (t) => {
  const config = configOf(t, {});
  const first = openAccess(config);
  const token = first.newToken ?? '';
  const later = openAccess(config);
  t.equal(later.newToken, undefined);
  t.notMatch(JSON.stringify(later), token);
  for (const { auth } of [first, later]) {
    const open = new Auth(auth);
    t.match(open.identify({ authorization: `Bearer ${token}` }), { user: 'local', role: 'admin', groups: [] });
    t.match(open.identify({ authorization: '' }), { code: 'ERR_UNAUTHORIZED' });
  }
});

t.test('with configured tokens no token is made, and one that is there is not valid', async (t) => {
  const entry = { user: 'ada', sha256: hashToken('token-of-ada'), role: 'user', groups: [] } as const;
  const fresh = configOf(t, { tokens: [entry] });
  openAccess(fresh);
  t.same(readdirSync(fresh.dataDir), []);
  const config = configOf(t, {});
  const token = openAccess(config).newToken ?? '';
  const access = openAccess({ ...config, auth: { ...config.auth, mode: 'token', tokens: [{ ...entry, groups: [] }] } });
  t.match(access.describe, /not valid/);
  const auth = new Auth(access.auth);
  t.match(auth.identify({ authorization: `Bearer ${token}` }), { code: 'ERR_UNAUTHORIZED' });
  t.match(auth.identify({ authorization: 'Bearer token-of-ada' }), { user: 'ada', role: 'user' });
});

t.test('the mode none makes no token and warns', async (t) => {
  const config = configOf(t, { mode: 'none' });
  t.match(openAccess(config), { warning: /every account/ });
  t.same(readdirSync(config.dataDir), []);
});

t.test('a proxy is refused with the mode none and without isolation, and served else', async (t) => {
  t.match(noProxy(configOf(t, { mode: 'none' }), 'docker'), /auth\.mode/);
  t.match(noProxy(configOf(t, {}), 'process'), /Docker/);
  t.equal(noProxy(configOf(t, {}), 'docker'), undefined);
});
