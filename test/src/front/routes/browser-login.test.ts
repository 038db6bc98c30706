import { once } from 'node:events';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import {
  CLIENT_ID,
  CLIENT_SECRET,
  FormBrowser,
  startIssuer,
  type Issuer,
  type IssuerOptions,
} from '../../../helpers/issuer.js';
import { otherPort, startFront, type Fixture, type FixtureOptions } from '../front-fixture.js';

const PEOPLE = {
  ada: { groups: ['staff', 'ops'] },
  bob: { groups: ['staff'] },
  'eve\nmallory': { groups: [] },
};

interface World {
  issuer: Issuer;
  fixture: Fixture;
  browser: FormBrowser;
}

async function world(t: Test, options: FixtureOptions = {}, real: IssuerOptions = {}): Promise<World> {
  const issuer = await startIssuer({ people: PEOPLE, ...real });
  t.teardown(() => issuer.close());
  const fixture = await frontFor(t, issuer, options);
  await issuer.register(fixture.url);
  return { issuer, fixture, browser: new FormBrowser() };
}

async function frontFor(t: Test, { url: issuer }: Pick<Issuer, 'url'>, options: FixtureOptions = {}): Promise<Fixture> {
  const oidc = { issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, roles: { operator: ['ops'] } };
  const fixture = await startFront({ browsers: {}, ...options, auth: { oidc, ...options.auth } });
  t.teardown(() => fixture.close());
  return fixture;
}

/** What a page of that origin, or no page, gets with the browser's cookies. */
async function ask(
  browser: FormBrowser,
  url: string,
  { method = 'GET', origin }: { method?: string; origin?: string } = {},
): Promise<{ status: number; code?: string }> {
  const { status, html } = await browser.send(url, {
    method,
    headers: { 'content-type': 'application/json', ...(origin !== undefined && { origin }) },
    ...(method === 'POST' && { body: '{}' }),
  });
  return { status, ...(JSON.parse(html || '{}') as { code?: string }) };
}

function cookieHeader(browser: FormBrowser, url: string): string {
  return [...browser.cookies(url)].map((pair) => pair.join('=')).join('; ');
}

/** The close code of a socket, or 0 when its session is ready. */
async function attach(
  t: Test,
  { url }: Fixture,
  headers: Record<string, string>,
): Promise<{ code: number; socket: WebSocket }> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, { headers });
  t.teardown(() => socket.terminate());
  const code = await Promise.race([
    once(socket, 'message').then(() => 0),
    once(socket, 'close').then(([code]) => code as number),
  ]);
  return { code, socket };
}

t.test('a browser logs in at the issuer, is that user on this server’s pages alone, and logs out', async (t) => {
  const { fixture, browser } = await world(t);
  const { url } = fixture;
  const page = await browser.logIn(`${url}/auth/login`, 'ada');
  t.equal(page.url.href, `${url}/auth`);
  t.match(page.html, /logged in as <strong>ada<\/strong> \(operator of staff, ops\)/);
  t.match(page.headers.get('content-security-policy'), /default-src 'none'; frame-ancestors 'none'/);
  t.same([...browser.cookies(url).keys()], [`fairlead-${fixture.port}`], 'what the log-in needed is gone');

  t.match(await ask(browser, `${url}/v1/sessions`), { status: 200 });
  t.match(await ask(browser, `${url}/v1/sessions`, { method: 'POST', origin: url }), { status: 201 });
  t.match(await fixture.agent.asked('create-session'), {
    user: 'ada',
    who: { role: 'operator', groups: ['staff', 'ops'] },
  });
  const refused = { status: 403, code: 'ERR_FORBIDDEN_ORIGIN' };
  t.match(await ask(browser, `${url}/v1/sessions`, { method: 'POST' }), refused, 'no page at all');
  for (const origin of [otherPort(fixture), 'https://evil.test', 'null']) {
    t.match(await ask(browser, `${url}/v1/sessions`, { method: 'POST', origin }), refused, origin);
  }
  const cookie = cookieHeader(browser, url);
  const { code, socket } = await attach(t, fixture, { cookie, origin: url });
  t.equal(code, 0);
  t.equal((await attach(t, fixture, { cookie })).code, 4401, 'no page at all');

  const closed = once(socket, 'close');
  for (const origin of [undefined, otherPort(fixture)]) {
    const headers = origin === undefined ? {} : { origin };
    t.equal((await browser.send(`${url}/auth/logout`, { method: 'POST', headers })).status, 403);
  }
  const out = await browser.send(`${url}/auth/logout`, { method: 'POST', headers: { origin: url } });
  t.match([out.status, out.headers.get('location')], [303, '/auth?out']);
  t.equal((await closed)[0], 4401, 'its sockets close');
  t.equal(fixture.kept.length, 1, 'other servers are told');
  t.same([...browser.cookies(url)], []);
  const gone = await fetch(`${url}/v1/sessions`, { headers: { cookie } });
  t.match([gone.status, await gone.json()], [401, { code: 'ERR_UNAUTHORIZED' }], 'somebody kept the cookie');
  const after = await browser.open(`${url}/auth?out`);
  t.match(after.html, /You are logged out.*href="\/auth\/login".*\/session\/end/s);
});

t.test(
  'a log-out that other servers cannot be told of is no success, counts here at once, and can be repeated',
  async (t) => {
    const { fixture, browser } = await world(t);
    await browser.logIn(`${fixture.url}/auth/login`, 'ada');
    fixture.store.away = true;
    const logOut = (): Promise<{ status: number }> =>
      browser.send(`${fixture.url}/auth/logout`, { method: 'POST', headers: { origin: fixture.url } });
    t.equal((await logOut()).status, 503);
    t.match(await ask(browser, `${fixture.url}/v1/sessions`), { status: 401 });
    fixture.store.away = false;
    t.equal((await logOut()).status, 303);
    t.equal(fixture.kept.length, 1);
  },
);

t.test('a log-out ends the login at another server with the same key, and after a restart', async (t) => {
  const { issuer, fixture, browser } = await world(t);
  const [second, other] = [
    await frontFor(t, issuer),
    await frontFor(t, issuer, { browsers: { key: 'cd'.repeat(32) } }),
  ];
  await browser.logIn(`${fixture.url}/auth/login`, 'ada');
  const value = browser.cookies(fixture.url).get(`fairlead-${fixture.port}`)!;
  const status = async ({ url, port }: Fixture): Promise<number> =>
    (await fetch(`${url}/v1/sessions`, { headers: { cookie: `fairlead-${port}=${value}` } })).status;
  t.same([await status(fixture), await status(second), await status(other)], [200, 200, 401]);
  const attached = await attach(t, second, { cookie: `fairlead-${second.port}=${value}`, origin: second.url });
  t.equal(attached.code, 0);
  const closed = once(attached.socket, 'close');
  await browser.send(`${fixture.url}/auth/logout`, { method: 'POST', headers: { origin: fixture.url } });
  const [{ key, ...entry }] = fixture.kept as [(typeof fixture.kept)[0]];
  const { ended } = second.browsers!.browsers;
  ended.put(key.slice(ended.kind.length), entry.value, entry); // as the table's reader does
  ended.applied();
  t.equal((await closed)[0], 4401);
  t.same([await status(fixture), await status(second)], [401, 401]);
});

t.test('only the browser that began a log-in ends it, with what it began, and once', async (t) => {
  const { issuer, fixture, browser } = await world(t);
  const { url } = fixture;
  const callback = `${url}/auth/callback`;
  const failed = async (at: FormBrowser, address: URL | string): Promise<void> => {
    const page = await at.send(address);
    t.equal(page.status, 403);
    t.match(page.html, /The login did not work/);
    t.notOk(at.cookies(url).has(`fairlead-${fixture.port}`));
  };
  const back = (await browser.logIn(`${url}/auth/login`, 'ada', { stop: callback })).url;
  const before = cookieHeader(browser, url);
  await failed(new FormBrowser(), back);
  const wrong = new URL(back);
  wrong.searchParams.set('state', 'x'.repeat(43));
  await failed(browser, wrong);
  await failed(browser, callback);
  await failed(browser, `${callback}?state=&code=`);

  // The flow of one tab does not end with the answer of another one.
  const [name, value = ''] = before.split('=');
  const lured = new FormBrowser();
  const theirs = (await lured.logIn(`${url}/auth/login`, 'bob', { stop: callback })).url;
  browser.cookies(url).set([...lured.cookies(url).keys()][0]!, value);
  await failed(browser, theirs);
  browser.cookies(url).set(name!, `${value.slice(0, -8)}AAAAAAAA`);
  await failed(browser, back);
  t.notOk(browser.cookies(url).has(name!), 'what failed is forgotten');

  const fresh = (await browser.logIn(`${url}/auth/login`, 'ada', { stop: callback })).url;
  const kept = cookieHeader(browser, url);
  const done = await browser.send(fresh);
  t.match([done.status, done.headers.get('location')], [303, '/auth']);
  const replayed = await fetch(fresh, { headers: { cookie: kept }, redirect: 'manual' });
  t.equal(replayed.status, 403, 'the code is used up, though somebody kept the browser’s cookies');
  t.same(
    replayed.headers.getSetCookie().filter((cookie) => cookie.startsWith(`fairlead-${fixture.port}=`)),
    [],
  );
  await replayed.text();
  const flowAsLogin = await fetch(`${url}/v1/sessions`, {
    headers: { cookie: `fairlead-${fixture.port}=${kept.split(/=|;/)[1]}` },
  });
  t.equal(flowAsLogin.status, 401, 'a log-in that has begun is no login');
  await flowAsLogin.text();
  t.ok(issuer.asked.length > 0);
});

t.test('a log-in leads back to a path of this server alone', async (t) => {
  const { fixture, browser } = await world(t);
  const { url } = fixture;
  const page = await browser.logIn(`${url}/auth/login?return=${encodeURIComponent('/auth?x=1')}`, 'ada');
  t.equal(page.url.href, `${url}/auth?x=1`);
  for (const to of ['https://evil.test', '//evil.test', '/\\evil.test', '/\t/evil.test', 'javascript:alert(1)']) {
    const refused = await new FormBrowser().send(`${url}/auth/login?return=${encodeURIComponent(to)}`);
    t.match(
      [refused.status, refused.headers.get('location'), refused.headers.get('set-cookie')],
      [400, null, null],
      to,
    );
  }
});

t.test('behind a public address a browser logs in there, and its cookie cannot be set by another host', async (t) => {
  const { fixture } = await world(t, { publicUrl: 'https://fairlead.test/' });
  const moved = await fetch(`${fixture.url}/auth/login?return=/auth`, { redirect: 'manual' });
  t.match(moved.headers.get('location'), /^https:\/\/fairlead\.test\/auth\/login\?return=%2Fauth&moved=$/);
  const begun = await fetch(`${fixture.url}/auth/login?return=/auth&moved=`, { redirect: 'manual' });
  t.equal(
    new URL(begun.headers.get('location')!).searchParams.get('redirect_uri'),
    'https://fairlead.test/auth/callback',
  );
  t.match(
    begun.headers.get('set-cookie'),
    /^__Host-fairlead-in-[0-9a-f]{16}=[\w-]+; Path=\/; Max-Age=900; HttpOnly; SameSite=Lax; Secure$/,
  );
});

t.test('whom the claims do not let in is told why, and is not logged in', async (t) => {
  const { fixture, browser } = await world(t);
  const page = await browser.logIn(`${fixture.url}/auth/login`, 'eve\nmallory');
  t.equal(page.status, 403);
  t.match(page.html, /the claim sub names no user/);
  t.same([...browser.cookies(fixture.url)], []);
});

t.test('a user who is blocked is told so, and is not logged in', async (t) => {
  const { fixture, browser } = await world(t, { blocked: ['bob', 'local'], browsers: { localToken: 'x'.repeat(64) } });
  const page = await browser.logIn(`${fixture.url}/auth/login`, 'bob');
  t.equal(page.status, 403);
  t.match(page.html, /The user bob is blocked/);
  t.same([...browser.cookies(fixture.url)], []);
  const link = await browser.send(fixture.browsers!.makeLink()!.replace('/#once=', '/auth/once?code='), {
    method: 'POST',
    headers: { origin: fixture.url },
  });
  t.equal(link.status, 403);
  t.same([...browser.cookies(fixture.url)], []);
  const other = await new FormBrowser().logIn(`${fixture.url}/auth/login`, 'ada');
  t.match(other.html, /logged in as <strong>ada/);
});

t.test('the issuer’s own log-out ends the login here, with its sockets', async (t) => {
  const { issuer, fixture, browser } = await world(t);
  const other = new FormBrowser();
  await browser.logIn(`${fixture.url}/auth/login`, 'ada');
  await other.logIn(`${fixture.url}/auth/login`, 'ada');
  const { code, socket } = await attach(t, fixture, {
    cookie: cookieHeader(browser, fixture.url),
    origin: fixture.url,
  });
  t.equal(code, 0);
  const closed = once(socket, 'close');
  await browser.logOutAt(issuer);
  t.equal((await closed)[0], 4401);
  t.match(await ask(browser, `${fixture.url}/v1/sessions`), { status: 401 });
  t.match(await ask(other, `${fixture.url}/v1/sessions`), { status: 200 }, 'another session of the same user goes on');
  t.match(fixture.kept, [{ key: /^logout:sid:/ }]);
  await browser.logIn(`${fixture.url}/auth/login`, 'ada');
  t.match(await ask(browser, `${fixture.url}/v1/sessions`), { status: 200 }, 'and the user may log in again');
});

t.test('what is no log-out token of the issuer ends nothing', async (t) => {
  const { fixture } = await world(t);
  const send = async (body: string, type = 'application/x-www-form-urlencoded'): Promise<[number, string]> => {
    const answer = await fetch(`${fixture.url}/auth/backchannel-logout`, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    });
    return [answer.status, await answer.text()];
  };
  for (const body of [
    '',
    'logout_token=',
    'logout_token=a.b.c',
    'logout_token=a&logout_token=b',
    'token=a',
    '%ff%00=%',
  ]) {
    t.match(await send(body), [400, /"error":"invalid_request"/], body);
  }
  t.match(await send('{"logout_token":"a"}', 'application/json'), [400, /ERR_BAD_FRAME/]);
  t.match(await send(`logout_token=${'x'.repeat(20_000)}`), [413, /ERR_TOO_LARGE/]);
  t.equal((await fetch(`${fixture.url}/auth/backchannel-logout?logout_token=a`)).status, 405);
  t.same(fixture.kept, []);
});

t.test('while the issuer is away a log-in says so', async (t) => {
  const fixture = await frontFor(t, { url: 'http://127.0.0.1:1' });
  const page = await new FormBrowser().send(`${fixture.url}/auth/login`);
  t.match([page.status, page.html], [503, /cannot be reached now/]);
});

t.test('the link of the terminal logs its browser in once, at the press of a button of its own page', async (t) => {
  const fixture = await startFront({ auth: { mode: 'token' }, browsers: { localToken: 'flt_x' } });
  t.teardown(() => fixture.close());
  const { url } = fixture;
  const link = fixture.browsers!.makeLink()!.replace('/#once=', '/auth/once?code=');
  t.ok(link.startsWith(`${url}/auth/once?code=`));
  const browser = new FormBrowser();
  for (let n = 0; n < 3; n++) {
    const page = await browser.send(link);
    t.match([page.status, page.html], [200, /<form method="post">.*Log in as local/s]);
  }
  t.same([...browser.cookies(url)], [], 'looking at it logs nobody in');
  for (const origin of ['', 'https://evil.test', otherPort(fixture), 'null']) {
    const headers = origin === '' ? {} : { origin };
    t.equal((await browser.send(link, { method: 'POST', headers })).status, 403, origin);
  }
  const done = await browser.send(link, { method: 'POST', headers: { origin: url } });
  t.match([done.status, done.headers.get('location')], [303, '/auth']);
  t.match((await browser.open(`${url}/auth`)).html, /logged in as <strong>local<\/strong> \(admin\)/);
  t.match(await ask(browser, `${url}/v1/sessions`), { status: 200 });
  for (const code of [link.split('=')[1]!, 'x', '']) {
    const again = await new FormBrowser().send(`${url}/auth/once?code=${code}`, {
      method: 'POST',
      headers: { origin: url },
    });
    t.match([again.status, again.headers.get('set-cookie')], [404, null], 'used, or none');
  }
  t.equal((await new FormBrowser().send(link)).status, 404);
  t.equal((await browser.send(`${url}/auth/login`)).status, 404, 'there is no issuer');
  t.match(await ask(new FormBrowser(), `${url}/v1/sessions`), { status: 401 });
});

t.test('a token beside the cookie is what counts', async (t) => {
  const fixture = await startFront({
    tokens: { tom: 'secret' },
    browsers: { localToken: 'flt_x' },
  });
  t.teardown(() => fixture.close());
  const { cookie } = fixture.browsers!.browsers.logInLocal()!;
  const status = async (authorization: string): Promise<number> => {
    const headers = { cookie: cookie.split(';')[0]!, ...(authorization !== '' && { authorization }) };
    const answer = await fetch(`${fixture.url}/v1/sessions`, { headers });
    await answer.text();
    return answer.status;
  };
  t.same([await status(''), await status('Bearer secret'), await status('Bearer wrong')], [200, 200, 401]);
  t.match(
    fixture.agent.calls.map(({ body }) => body['user']),
    ['local', 'tom'],
  );
});
