import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { oauthServer, storeDir, TestHost, type Person } from './oauth-kit.js';

const nobodyIsAsked: Person = () => Promise.reject(new Error('nobody should be asked'));
const OF = { user: 'alice', server: 'remote' };

t.test('a token is renewed before it is over: the server never sees an old one', async (t) => {
  const as = await oauthServer(t);
  as.life = 2;
  const host = await TestHost.start(t, { url: as.url });
  await host.call('alice');
  const { refused } = as;
  const answers = new Set<string>();
  while (as.grants.length < 3) answers.add(await host.call('alice', 'whoami', nobodyIsAsked));
  t.strictSame([...answers], ['whoami: Alice']);
  t.strictSame(as.grants, ['authorization_code', 'refresh_token', 'refresh_token'], 'by the token of the one before');
  t.equal(as.refused, refused);
});

t.test('many calls with a refused token make one renewal, and all go on', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  await host.call('alice');
  as.revokeAll({ refreshTokens: false });
  const answers = await Promise.all(Array.from({ length: 20 }, () => host.call('alice', 'whoami', nobodyIsAsked)));
  t.ok(answers.every((answer) => answer === 'whoami: Alice'));
  t.strictSame(as.grants, ['authorization_code', 'refresh_token']);
});

t.test('of two servers with one store one renews the token, and the other uses the new one', async (t) => {
  const as = await oauthServer(t);
  const dir = await storeDir(t);
  const [first, second] = [
    await TestHost.start(t, { url: as.url, dir }),
    await TestHost.start(t, { url: as.url, dir }),
  ];
  await first.call('alice');
  const { token: old = '' } = await second.token(OF);
  as.revokeAll({ refreshTokens: false });
  let open: (() => void) | undefined;
  as.gate = new Promise<void>((resolve) => (open = resolve));
  const both = Promise.all([first, second].map((host) => host.token({ ...OF, refused: old })));
  while (as.grants.length < 2) await nextTurn();
  open?.();
  const [one, two] = await both;
  t.ok(one?.token !== undefined && one.token !== old);
  t.equal(one?.token, two?.token);
  t.strictSame(as.grants, ['authorization_code', 'refresh_token'], 'a refresh token that is used twice ends the login');
  t.equal(await second.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice');
});

t.test('a login that was revoked leads to a new one', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  await host.call('alice');
  as.revokeAll();
  t.equal(await host.call('alice'), 'whoami: Alice');
  t.equal(host.questions.length, 2);
  t.strictSame(as.grants, ['authorization_code', 'refresh_token', 'authorization_code']);
});

t.test('a token for another audience ends in an error that says so, after at most two questions', async (t) => {
  const as = await oauthServer(t);
  as.audience = 'https://elsewhere.test/mcp';
  const host = await TestHost.start(t, { url: as.url });
  await t.rejects(host.call('alice'), { code: 'ERR_MCP_LOGIN', message: /still refuses/ });
  t.ok(host.questions.length <= 2, `${host.questions.length} questions`);
});

t.test(
  'a failing authorization server costs nothing while the token is valid, and no login when it is refused',
  async (t) => {
    const as = await oauthServer(t);
    const host = await TestHost.start(t, { url: as.url });
    await host.call('alice');
    as.tokenStatus = 500;
    const { token = '' } = await host.token(OF);
    await t.rejects(host.token({ ...OF, refused: token }), { code: 'ERR_UNAVAILABLE' });
    t.equal((await host.token(OF)).token, token, 'it was not given away');
    as.revokeAll({ refreshTokens: false });
    await t.rejects(host.call('alice', 'whoami', nobodyIsAsked), { code: 'ERR_UNAVAILABLE' });
    as.tokenStatus = 0;
    t.equal(await host.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice', 'the refresh token was not lost');
  },
);

t.test('somebody who logs out while the token is renewed is logged out', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  await host.call('alice');
  const { token: refused = '' } = await host.token(OF);
  let open: (() => void) | undefined;
  as.gate = new Promise<void>((resolve) => (open = resolve));
  const renewed = host.token({ ...OF, refused });
  while (as.grants.length < 2) await nextTurn();
  await host.logins.logout(OF);
  open?.();
  t.equal((await renewed).token, undefined);
  t.equal((await host.token(OF)).token, undefined);
});
