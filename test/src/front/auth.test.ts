import { createHash } from 'node:crypto';
import t from 'tap';
import { answeredProtocol, Auth } from '../../../src/front/auth.js';

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');

t.test('a token names its user, by header first, then by subprotocol', async (t) => {
  const auth = new Auth({
    mode: 'token',
    tokens: [
      { user: 'ann', sha256: sha256('token-a') },
      { user: 'ann', sha256: sha256('token-a2') },
      { user: 'bob', sha256: sha256('token-b') },
    ],
  });
  t.equal(auth.userOf({ authorization: 'Bearer token-a' }), 'ann');
  t.equal(auth.userOf({ authorization: 'bearer  token-a2' }), 'ann');
  t.equal(auth.userOf({ authorization: '', protocols: 'fairlead.v1, bearer.token-b' }), 'bob');
  t.equal(auth.userOf({ authorization: 'Bearer token-a', protocols: 'bearer.token-b' }), 'ann');
  t.equal(auth.userOf({ authorization: 'Bearer wrong', protocols: 'bearer.token-b' }), undefined);
  for (const authorization of ['', 'Bearer ', 'token-a', 'Basic token-a', 'Bearer token-a x', sha256('token-a')]) {
    t.equal(auth.userOf({ authorization }), undefined, JSON.stringify(authorization));
  }
  t.equal(auth.userOf({ authorization: `Bearer ${sha256('token-a')}` }), undefined, 'the hash is not the token');
});

t.test('with the mode none everybody is local; without a token nobody is let in', async (t) => {
  const open = new Auth({ mode: 'none', tokens: [] });
  t.equal(open.userOf({ authorization: '' }), 'local');
  t.equal(open.userOf({ authorization: 'Bearer whatever' }), 'local');
  const closed = new Auth({ mode: 'token', tokens: [] });
  for (const authorization of ['', 'Bearer', 'Bearer whatever', 'Bearer undefined']) {
    t.equal(closed.userOf({ authorization }), undefined, authorization);
  }
});

t.test('only fairlead.v1 is ever answered', async (t) => {
  t.equal(answeredProtocol('bearer.x,fairlead.v1'), 'fairlead.v1');
  t.equal(answeredProtocol('bearer.fairlead.v1'), '');
  t.equal(answeredProtocol(''), '');
});
