import t from 'tap';
import { BUILT_IN } from '../../../../../workers/agent/mcp/catalogue/built-in.js';
import { isFor } from '../../../../../workers/agent/mcp/oauth/discovery.js';
import { NOBODY } from '../../../../../workers/agent/mcp/catalogue/nobody.js';
import { AnsweredElsewhere } from '../../../../../workers/agent/mcp/host/question.js';
import { closeQuestions } from '../../../../../workers/agent/turn/questions.js';
import { NO_USAGE } from '../../../../../workers/agent/log/usage.js';
import { serve } from '../remote/remote-kit.js';
import { IDENTITY, oauthServer, storeDir, TestHost, type Person } from './oauth-kit.js';

t.setTimeout(240_000); // hundreds of logins, on a machine that may be busy

const nobodyIsAsked: Person = () => Promise.reject(new Error('nobody should be asked'));

t.test('a call waits for the person to log in, goes on with the token, and the next one asks nothing', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  t.equal(await host.call('alice'), 'whoami: Alice');
  t.match(host.questions, [
    { server: 'remote', mode: 'url', url: /^https:\/\/fairlead\.test\/v1\/mcp\/oauth\/login\/[\w-]{43}$/ },
  ]);
  t.match(host.questions[0]?.message, new URL(as.issuer).host, 'it says where it leads');
  t.match(Object.fromEntries(as.authorizations[0]!), {
    response_type: 'code',
    code_challenge_method: 'S256',
    redirect_uri: IDENTITY.redirectUrl,
    resource: as.url,
    scope: 'read',
    state: /^[\w-]{43}$/,
  });
  t.equal(await host.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice');
  t.strictSame(as.grants, ['authorization_code']);
});

t.test('two users never see each other’s tokens, and share the registration', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  t.equal(await host.call('alice'), 'whoami: Alice');
  as.person = 'Bob';
  t.equal(await host.call('bob'), 'whoami: Bob');
  t.equal(await host.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice');
  t.equal(await host.call('bob', 'whoami', nobodyIsAsked), 'whoami: Bob');
  t.equal(host.questions.length, 2);
  t.equal(as.registrations, 1);
});

t.test('calls of one session that want the same login ask once', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  const answers = await Promise.all([host.call('alice'), host.call('alice'), host.call('alice')]);
  t.strictSame(answers, ['whoami: Alice', 'whoami: Alice', 'whoami: Alice']);
  t.equal(host.questions.length, 1);
  t.strictSame(as.grants, ['authorization_code']);
});

t.test('coming back from the login counts as an answer to the question', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  let reason: unknown;
  const person: Person = async ({ url = '' }, signal) => {
    await host.comeBack(await host.logIn(url));
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    reason = signal.reason;
    return { action: 'cancel' };
  };
  t.equal(await host.call('alice', 'whoami', person), 'whoami: Alice');
  t.ok(reason instanceof AnsweredElsewhere);
  t.match(reason, { answer: { action: 'accept' } });
});

t.test(
  'a login that is declined, refused or cancelled ends the call in words, and asks again the next time',
  async (t) => {
    const as = await oauthServer(t);
    const host = await TestHost.start(t, { url: as.url });
    const declined = host.call('alice', 'whoami', async () => ({ action: 'decline' }));
    await t.rejects(declined, { code: 'ERR_MCP_LOGIN', message: /declined/ });
    as.denies = true;
    await t.rejects(host.call('alice'), { code: 'ERR_MCP_LOGIN', message: /access_denied/ });
    as.denies = false;
    const stop = new AbortController();
    const stopped = host.call(
      'alice',
      'whoami',
      (_question, signal) => {
        stop.abort();
        return Promise.resolve({ action: signal.aborted ? 'cancel' : 'decline' });
      },
      stop.signal,
    );
    await t.rejects(stopped, { code: 'ERR_CANCELLED' });
    t.strictSame(as.grants, []);
    t.equal(await host.call('alice'), 'whoami: Alice');
  },
);

t.test('a state that is wrong, used or of an answer by another issuer changes nothing', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  const of = { user: 'alice', server: 'remote' };
  const { url } = await host.logins.login({ ...of, identity: IDENTITY });
  const back = await host.logIn(url);
  for (const state of ['', 'short', 'x'.repeat(43), 'x'.repeat(5_000), `${back.searchParams.get('state')}x`]) {
    const wrong = new URL(back);
    wrong.searchParams.set('state', state);
    t.match(await host.comeBack(wrong), { ok: false, message: /not known/, of: undefined });
  }
  t.strictSame(as.grants, [], 'no code was shown to anybody');
  const all = await Promise.all([host.comeBack(back), host.comeBack(back)]);
  t.equal(all.filter(({ ok }) => ok).length, 1, 'of two at once one is let in');
  t.match(await host.comeBack(back), { ok: false, message: /not known/ });
  t.strictSame(as.grants, ['authorization_code']);
  t.equal(await host.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice');

  as.iss = 'https://evil.test';
  as.person = 'Mallory';
  const another = await host.logins.login({ ...of, identity: IDENTITY });
  t.match(await host.comeBack(await host.logIn(another.url)), { ok: false, message: /issuer/ });
  t.equal(await host.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice', 'the login that there was stays');
});

t.test('wider scopes are asked for when a tool wants them, with those that there were', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  t.equal(await host.call('alice'), 'whoami: Alice');
  t.equal(await host.call('alice', 'administer'), 'administer: Alice');
  t.strictSame(
    as.authorizations.map((asked) => asked.get('scope')),
    ['read', 'read admin'],
  );
  t.equal(await host.call('alice', 'administer', nobodyIsAsked), 'administer: Alice');
});

t.test('where nobody can be asked, the error says what to do and no login starts', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  const caller = { session: 'none', user: 'alice' };
  const need = {
    caller,
    server: 'remote',
    config: host.server,
    error: new Error('refused'),
    round: 1,
    signal: AbortSignal.timeout(5_000),
  };
  for (const asks of [{}, { asks: NOBODY }]) {
    await t.rejects(host.source.whenUnauthorized({ ...need, ...asks }), {
      code: 'ERR_MCP_LOGIN',
      message: /mcp login remote/,
    });
  }
  t.equal(as.registrations, 0);
});

t.test('an issuer that is not the configuration’s is told nothing', async (t) => {
  const as = await oauthServer(t);
  const auth = { type: 'oauth', clientId: 'ours', clientSecret: 'secret', issuer: 'https://issuer.test' };
  const host = await TestHost.start(t, { url: as.url, auth });
  await t.rejects(host.call('alice'), { code: 'ERR_MCP', message: /auth\.issuer/ });
  t.strictSame([as.registrations, as.authorizations.length, as.grants.length, host.questions.length], [0, 0, 0, 0]);
  const right = { type: 'oauth', issuer: `${as.issuer}/` };
  const other = await TestHost.start(t, { url: as.url, auth: right });
  t.equal(await other.call('alice'), 'whoami: Alice', 'the right one, but for a slash, is asked');
});

t.test('a server that names another resource than itself leads to no login', async (t) => {
  const as = await oauthServer(t);
  as.resource = 'https://elsewhere.test/mcp';
  const host = await TestHost.start(t, { url: as.url });
  await t.rejects(host.call('alice'), { code: 'ERR_MCP', message: /not its own address/ });
  t.strictSame([as.registrations, as.authorizations.length, host.questions.length], [0, 0, 0]);
});

t.test('a logout forgets the login here and at the authorization server', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  const of = { user: 'alice', server: 'remote' };
  t.strictSame(await host.logins.logout(of), { revoked: false }, 'of somebody who has none');
  await host.call('alice');
  t.equal(as.live, 2);
  t.strictSame(await host.logins.logout(of), { revoked: true });
  t.equal(as.live, 0);
  host.source.forget(of);
  t.equal((await host.token(of)).token, undefined);
  t.equal(await host.call('alice'), 'whoami: Alice');
  t.equal(host.questions.length, 2);
});

t.test('no secret is in the log, in errors or in questions', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  await host.call('alice');
  as.revokeAll();
  const failed = host.call('alice', 'whoami', async () => ({ action: 'decline' }));
  const error = await failed.then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  const told = [...host.logged, JSON.stringify(host.questions), String(error?.stack), String(error?.cause)].join('\n');
  t.ok(host.logged.length > 0);
  for (const secret of as.secrets) t.notOk(told.includes(secret));
});

t.test('a login is there after a restart; without a key it is not', async (t) => {
  const as = await oauthServer(t);
  const dir = await storeDir(t);
  const first = await TestHost.start(t, { url: as.url, dir });
  await first.call('alice');
  await first.close();
  const second = await TestHost.start(t, { url: as.url, dir });
  t.equal(await second.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice');
  await second.close();

  const third = await TestHost.start(t, { url: as.url, dir, secretKeys: '' });
  t.equal(await third.call('alice'), 'whoami: Alice');
  t.equal(third.questions.length, 1, 'its memory holds no login yet');
  t.equal(await third.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice');
});

t.test('another key is a clear error, until the person logs in again', async (t) => {
  const as = await oauthServer(t);
  const dir = await storeDir(t);
  const first = await TestHost.start(t, { url: as.url, dir });
  await first.call('alice');
  await first.close();
  const other = await TestHost.start(t, { url: as.url, dir, secretKeys: '22'.repeat(32) });
  await t.rejects(other.call('alice', 'whoami', nobodyIsAsked), { code: 'ERR_MCP', message: /FAIRLEAD_SECRET_KEY/ });
  const { url } = await other.logins.login({ user: 'alice', server: 'remote', unasked: true, identity: IDENTITY });
  t.match(await other.comeBack(await other.logIn(url)), { ok: true, of: { user: 'alice', server: 'remote' } });
  t.equal(await other.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice');
});

t.test('a login that the model has asked for stays open while other calls of the turn end', async (t) => {
  const question = {
    requestId: 'q',
    server: 'remote',
    mode: 'url' as const,
    message: 'log in',
    url: 'https://login.test',
  };
  const turn = (server: string) => {
    const call = { callId: 'c', name: 'any', server, args: {}, position: 0, total: 0 };
    const progress = { startedAt: 0, rounds: 1, blocks: 1, usage: NO_USAGE, model: 'm', resumed: 0 };
    return { openTurns: [{ turn: 1, progress: { ...progress, calls: [call], questions: [question] } }] };
  };
  t.same(closeQuestions(turn(BUILT_IN), false).events, []);
  t.same(closeQuestions(turn('remote'), false).events, []);
  t.match(closeQuestions(turn('other'), false).events, [{ type: 'elicitation:resolved', requestId: 'q' }]);
});

t.test('who comes back in another browser than the one that began is refused, and takes nothing away', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  const of = { user: 'mallory', server: 'remote' };
  const { url } = await host.logins.login({ ...of, identity: IDENTITY });
  const ticket = url.slice(IDENTITY.loginUrl.length);
  t.same(await host.logins.page(ticket), { ...of, issuer: as.issuer }, 'the page says whose login it is');
  // Mallory begins, and has Alice, who is logged in there, open the address of the authorization server.
  as.person = 'Alice';
  const back = await host.logIn(url);
  for (const cookies of [new Map(), new Map([[back.searchParams.get('state') ?? '', 'x'.repeat(43)]])]) {
    t.match(await host.comeBack(back, cookies), { ok: false, message: /another browser/ });
  }
  t.strictSame(as.grants, [], 'no code was exchanged');
  t.equal((await host.token(of)).token, undefined);
  t.match(await host.comeBack(back), { ok: true, of }, 'the browser that began is let in');
  t.equal(await host.logins.begin(ticket), null, 'once');
});

t.test('nobody can come back from a login that nobody began, and the newest browser counts', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  const { url } = await host.logins.login({ user: 'alice', server: 'remote', identity: IDENTITY });
  const first = await host.logIn(url);
  const cookies = new Map(host.cookies);
  const second = await host.logIn(url);
  t.match(await host.comeBack(first, cookies), { ok: false, message: /another browser/ });
  t.match(await host.comeBack(second), { ok: true });
  for (const ticket of ['', 'short', 'x'.repeat(43)]) {
    t.equal(await host.logins.page(ticket), null);
    t.equal(await host.logins.begin(ticket), null);
  }
});

t.test('a user’s sixth login takes the place of the first, and nobody else’s', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  const begin = (user: string, scope: string) =>
    host.logins.login({ user, server: 'remote', scope, identity: IDENTITY });
  const bob = await begin('bob', 'read');
  const first = await begin('alice', 'read 0');
  const end = host.logins.loginEnd({ flow: first.flow });
  for (let n = 1; n <= 5; n++) await begin('alice', `read ${n}`);
  t.match(await end, { ok: false, message: /newer login took its place/ });
  t.match(await host.logins.loginEnd({ flow: first.flow }), { message: /newer login/ }, 'also for who asks later');
  await t.rejects(host.logIn(first.url), /not known/);
  t.match(await host.comeBack(await host.logIn(bob.url)), { ok: true });
});

t.test('a login that has ended gives its place back: many in a row lock nobody out', async (t) => {
  const as = await oauthServer(t);
  const host = await TestHost.start(t, { url: as.url });
  for (let n = 0; n < 1_100; n++) {
    const { flow, url } = await host.logins.login({ user: `user ${n % 300}`, server: 'remote', identity: IDENTITY });
    as.denies = n % 2 === 0;
    t.equal((await host.comeBack(await host.logIn(url))).ok, n % 2 === 1);
    await host.logins.loginEnd({ flow });
  }
});

t.test('the token of a login never goes to the server’s new address, and counts again at the old one', async (t) => {
  const as = await oauthServer(t);
  const dir = await storeDir(t);
  const before = await TestHost.start(t, { url: as.url, dir });
  t.equal(await before.call('alice'), 'whoami: Alice');
  await before.close();

  // It asks for tokens of the same authorization server, and names no metadata of its own.
  const other = await serve(t, (_request, response) => {
    response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end();
  });
  const moved = await TestHost.start(t, { url: other.url, dir });
  await t.rejects(moved.call('alice', 'whoami', nobodyIsAsked));
  t.ok(other.seen.length > 0);
  t.same(
    other.seen.filter(({ headers }) => headers.authorization !== undefined),
    [],
  );
  await moved.close();

  const back = await TestHost.start(t, { url: as.url, dir });
  t.equal(await back.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice');
});

t.test('a login without metadata of its server is for that server’s origin alone', async (t) => {
  const discovery = { authorizationServerUrl: 'https://a.example/' };
  t.ok(isFor(discovery, 'https://a.example/mcp'));
  t.notOk(isFor(discovery, 'https://a.example:8443/mcp'));
  t.notOk(isFor(discovery, 'https://b.example/mcp'));
  const named = { ...discovery, resourceMetadata: { resource: 'https://b.example/mcp' } };
  t.ok(isFor(named, 'https://b.example/mcp'));
  t.notOk(isFor(named, 'https://b.example/other'));
  t.notOk(isFor(named, 'https://a.example/mcp'));
});
