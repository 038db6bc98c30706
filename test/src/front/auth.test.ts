import { createHash } from 'node:crypto';
import t from 'tap';
import { answeredProtocol, Auth, type AuthHeaders } from '../../../src/front/auth.js';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');

const entry = (user: string, token: string, more: Partial<Entry> = {}): Entry => ({
  user,
  sha256: sha256(token),
  role: 'user',
  groups: [],
  ...more,
});
type Entry = Config['auth']['tokens'][number];

/** The user's name, or the code of the refusal. */
function nameOf(auth: Auth, credentials: AuthHeaders): string {
  const identified = auth.identify(credentials);
  if (identified instanceof Promise) return 'later';
  return identified instanceof FairleadError ? identified.code : identified.user;
}

t.test('a token names its user, by header first, then by subprotocol', async (t) => {
  const auth = new Auth({
    mode: 'token',
    tokens: [entry('ann', 'token-a'), entry('ann', 'token-a2'), entry('bob', 'token-b')],
  });
  t.equal(nameOf(auth, { authorization: 'Bearer token-a' }), 'ann');
  t.equal(nameOf(auth, { authorization: 'bearer  token-a2' }), 'ann');
  t.equal(nameOf(auth, { authorization: '', protocols: 'fairlead.v1, bearer.token-b' }), 'bob');
  t.equal(nameOf(auth, { authorization: 'Bearer token-a', protocols: 'bearer.token-b' }), 'ann');
  t.equal(nameOf(auth, { authorization: 'Bearer wrong', protocols: 'bearer.token-b' }), 'ERR_UNAUTHORIZED');
  for (const authorization of ['', 'Bearer ', 'token-a', 'Basic token-a', 'Bearer token-a x', sha256('token-a')]) {
    t.equal(nameOf(auth, { authorization }), 'ERR_UNAUTHORIZED', JSON.stringify(authorization));
  }
  t.equal(nameOf(auth, { authorization: `Bearer ${sha256('token-a')}` }), 'ERR_UNAUTHORIZED', 'the hash is no token');
});

t.test('a token has the role and the groups of its line', async (t) => {
  const tokens = [entry('ann', 'token-a'), entry('olga', 'token-o', { role: 'operator', groups: ['staff', '/eu'] })];
  const auth = new Auth({ mode: 'token', tokens });
  const ann = { user: 'ann', role: 'user', groups: [], credential: 'file' };
  t.strictSame(auth.identify({ authorization: 'Bearer token-a' }), ann);
  const olga = { user: 'olga', role: 'operator', groups: ['staff', '/eu'], credential: 'file' };
  t.strictSame(auth.identify({ authorization: 'Bearer token-o' }), olga);
});

t.test('with the mode none everybody is local, an admin; without a token nobody is let in', async (t) => {
  const open = new Auth({ mode: 'none', tokens: [] });
  const local = { user: 'local', role: 'admin', groups: [], credential: 'local' };
  t.strictSame(open.identify({ authorization: '' }), local);
  t.strictSame(open.identify({ authorization: 'Bearer whatever' }), local);
  const closed = new Auth({ mode: 'token', tokens: [] });
  for (const authorization of ['', 'Bearer', 'Bearer whatever', 'Bearer undefined']) {
    t.equal(nameOf(closed, { authorization }), 'ERR_UNAUTHORIZED', authorization);
  }
});

t.test('only fairlead.v1 is ever answered', async (t) => {
  t.equal(answeredProtocol('bearer.x,fairlead.v1'), 'fairlead.v1');
  t.equal(answeredProtocol('bearer.fairlead.v1'), '');
  t.equal(answeredProtocol(''), '');
});
