import { createHash } from 'node:crypto';
import t from 'tap';
import { answeredProtocol, Auth, type AuthHeaders } from '../../../src/front/auth.js';
import type { Config } from '../../../src/shared/config.js';
import { Browsers } from '../../../src/front/browser/browsers.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { personOf } from '../../helpers/people.js';
import type { Person } from '../../../src/shared/person.js';

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');

const entry = (user: string, token: string, more: Partial<Entry> = {}): Entry => ({
  user,
  sha256: sha256(token),
  role: 'user',
  groups: [],
  ...more,
});
type Entry = Config['auth']['tokens'][number];

const bearer = (token: string): AuthHeaders => ({ authorization: `Bearer ${token}`, address: '192.0.2.9' });

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

t.test('a browser that logs out while its request comes in is let in no more', async (t) => {
  const browsers = new Browsers({
    keys: ['ab'.repeat(32)],
    site: () => ({ base: 'http://127.0.0.1:3000', port: 3000 }),
    sessionMs: 3_600_000,
    idleMs: 3_600_000,
    localToken: 'x',
  });
  const auth = new Auth({ mode: 'token', tokens: [entry('ann', 'token-a')] }, { browsers });
  const { login, cookie } = browsers.logInLocal()!;
  const sent = { authorization: '', cookie: cookie.split(';')[0]! };
  const person = auth.identify(sent) as Person;
  t.match(person, { user: 'local', role: 'admin' });
  t.equal(nameOf(auth, { ...sent, authorization: 'Bearer token-a' }), 'ann', 'a token is what counts');
  t.equal(auth.refusal(person), undefined);
  browsers.ended.end(login);
  t.match(auth.refusal(person), { code: 'ERR_UNAUTHORIZED' });
  t.equal(nameOf(auth, sent), 'ERR_UNAUTHORIZED');
});

t.test('a token has the role and the groups of its line', async (t) => {
  const tokens = [entry('ann', 'token-a'), entry('olga', 'token-o', { role: 'operator', groups: ['staff', '/eu'] })];
  const auth = new Auth({ mode: 'token', tokens });
  const ann = { user: 'ann', role: 'user', groups: [], credential: 'file' };
  t.strictSame(auth.identify({ authorization: 'Bearer token-a' }), ann);
  const olga = { user: 'olga', role: 'operator', groups: ['staff', '/eu'], credential: 'file' };
  t.strictSame(auth.identify({ authorization: 'Bearer token-o' }), olga);
});

t.test(
  'tokens made live stand beside those of the configuration, and a blocked user has no credential that counts',
  async (t) => {
    const bob: Person = { user: 'bob', role: 'user', groups: [], credential: 'tok_b' };
    const seen: string[] = [];
    const blocked = new Set<string>();
    const auth = new Auth(
      { mode: 'token', tokens: [entry('ann', 'token-a')] },
      {
        live: {
          find: (hash, address) => {
            seen.push(address);
            return hash === sha256('token-b') ? bob : undefined;
          },
          refusal: ({ user }) => (blocked.has(user) ? new FairleadError('ERR_BLOCKED', 'blocked') : undefined),
        },
      },
    );
    t.equal(auth.identify(bearer('token-b')), bob);
    t.equal(nameOf(auth, bearer('token-a')), 'ann');
    t.equal(nameOf(auth, bearer('token-c')), 'ERR_UNAUTHORIZED');
    t.strictSame(seen, ['192.0.2.9', '192.0.2.9'], 'a token of the configuration is not looked up');
    blocked.add('ann').add('bob');
    for (const token of ['token-a', 'token-b']) t.equal(nameOf(auth, bearer(token)), 'ERR_BLOCKED');
    t.match(auth.refusal(bob), { code: 'ERR_BLOCKED' }, 'also of somebody who was let in before');
  },
);

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

t.test('whose credential has ended since they were identified is let in no more', async (t) => {
  const auth = new Auth({ mode: 'token', tokens: [] });
  t.equal(auth.refusal(personOf('ada')), undefined);
  t.equal(auth.refusal(personOf('ada', { expiresAt: Date.now() + 60_000 })), undefined);
  t.match(auth.refusal(personOf('ada', { expiresAt: Date.now() - 1 })), { code: 'ERR_UNAUTHORIZED' });
});

t.test('only fairlead.v1 is ever answered', async (t) => {
  t.equal(answeredProtocol('bearer.x,fairlead.v1'), 'fairlead.v1');
  t.equal(answeredProtocol('bearer.fairlead.v1'), '');
  t.equal(answeredProtocol(''), '');
});

t.test(
  'of new tokens those count that are there: others end, and a role or a group changes where it stands',
  async (t) => {
    const auth = new Auth({
      mode: 'token',
      tokens: [entry('ann', 'a', { groups: ['x'] }), entry('bob', 'b'), entry('cy', 'c')],
    });
    const [ann, bob, cy] = ['a', 'b', 'c'].map((token) => auth.identify(bearer(token)) as Person);
    auth.setTokens([entry('ann', 'a', { role: 'admin', groups: ['y'] }), entry('dan', 'c'), entry('eve', 'e')]);
    t.match(ann, { user: 'ann', role: 'admin', groups: ['y'] }, 'who is connected has it at once');
    t.equal(auth.hasEnded(ann!), false);
    t.equal(auth.refusal(ann!), undefined);
    for (const ended of [bob!, cy!]) {
      t.equal(auth.hasEnded(ended), true);
      t.match(auth.refusal(ended), { code: 'ERR_UNAUTHORIZED' });
    }
    t.equal(nameOf(auth, bearer('b')), 'ERR_UNAUTHORIZED');
    t.equal(nameOf(auth, bearer('c')), 'dan', 'the same token may be somebody else’s now');
    t.equal(nameOf(auth, bearer('e')), 'eve');
  },
);
