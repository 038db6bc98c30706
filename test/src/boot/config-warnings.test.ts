import t from 'tap';
import { lostAdmins } from '../../../src/boot/config-warnings.js';
import { loadConfig, type Config } from '../../../src/shared/config.js';

const SHA = 'a'.repeat(64);
const DEFAULTS = loadConfig({}, t.testdir()).auth;
const auth = (part: Partial<Config['auth']>): Pick<Config, 'auth'> => ({ auth: { ...DEFAULTS, ...part } });
const token = (role: 'user' | 'operator' | 'admin'): Config['auth']['tokens'][number] => ({
  user: role,
  sha256: SHA,
  role,
  groups: [],
});

t.test('a reload that leaves nobody with the role admin says so, and how to reload without', async (t) => {
  const admin = auth({ tokens: [token('admin'), token('user')] });
  const none = auth({ tokens: [token('operator'), token('user')] });
  t.match(lostAdmins(admin, none), [/nobody the role admin any more.*reload --pid/]);
  t.match(lostAdmins(auth({ tokens: [] }), none), { length: 1 }, 'the owner of the machine was one');
  t.same(lostAdmins(none, none), [], 'once is enough');
  t.same(lostAdmins(admin, admin), []);
  t.same(lostAdmins(admin, auth({ mode: 'none' })), []);
});
