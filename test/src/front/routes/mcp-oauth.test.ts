import t, { type Test } from 'tap';
import { AuditGate, auditTo } from '../../../../src/shared/audit.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { startFront } from '../front-fixture.js';

const STATE = 's'.repeat(43);
/** A login is for a server that there is. */
const REMOTE = { remote: { url: 'https://mcp.test/mcp' } };

t.test(
  'what a person comes back with is passed on whole, and what it ends in is a page without a way to run anything',
  async (t) => {
    const fixture = await startFront();
    t.teardown(() => fixture.close());
    const seen: unknown[] = [];
    const come = async (query: string): Promise<{ status: number; html: string; headers: Headers }> => {
      const answer = await fetch(`${fixture.url}/v1/mcp/oauth/callback?${query}`);
      return { status: answer.status, html: await answer.text(), headers: answer.headers };
    };
    fixture.agent.overrides.set('mcp-callback', (body) => {
      seen.push(body);
      return { ok: true, of: { user: 'local', server: 'remote' } };
    });
    const good = await come(`state=${STATE}&code=a%2Bb&iss=https%3A%2F%2Fissuer.test`);
    t.equal(good.status, 200);
    t.same(seen, [{ state: STATE, code: 'a+b', iss: 'https://issuer.test' }]);
    t.match(good.headers.get('content-security-policy'), /default-src 'none'; frame-ancestors 'none'/);
    t.notMatch(good.html, /script/);

    fixture.agent.overrides.set('mcp-callback', () => ({
      ok: false,
      message: 'the server says <img src=x onerror="go()">',
    }));
    const bad = await come(`state=${STATE}&error=access_denied`);
    t.equal(bad.status, 400);
    t.match(bad.html, /&#60;img src=x onerror=&#34;go\(\)&#34;&#62;/);

    fixture.agent.overrides.set('mcp-callback', () => {
      throw new FairleadError('ERR_UNAVAILABLE', 'the store is away');
    });
    const away = await come(`state=${STATE}&code=x`);
    t.equal(away.status, 503);
    t.notMatch(away.html, /store/);
    t.equal((await come('code=x')).status, 400);
  },
);

t.test('a login begins with an address and ends with what the authorization server says', async (t) => {
  const fixture = await startFront({ tokens: { alice: 'secret' }, mcpServers: REMOTE });
  t.teardown(() => fixture.close());
  const ask = (method: string, token: string): Promise<Response> =>
    fetch(`${fixture.url}/v1/mcp/remote/login`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(method === 'POST' ? { body: '{}' } : {}),
    });
  const begun = await ask('POST', 'secret');
  t.equal(begun.status, 200);
  t.match(await begun.json(), { url: 'https://login.test/', expiresAt: Number });
  const ended = await ask('DELETE', 'secret');
  t.same(await ended.json(), { revoked: true });
  for (const method of ['POST', 'DELETE']) {
    const stranger = await ask(method, 'wrong');
    t.equal(stranger.status, 401);
    await stranger.text();
  }
});

const TICKET = 't'.repeat(43);
const LOGIN = { user: 'ann <b>', server: 'remote"', issuer: 'https://issuer.test/x' };
const BEGUN = {
  url: 'https://issuer.test/authorize?a=1&b=2',
  issuer: LOGIN.issuer,
  state: STATE,
  browser: 'secret',
  leftMs: 60_000,
};

t.test('the page of a login names the user and the server, begins nothing, and lets nothing run in it', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  let begun = 0;
  fixture.agent.overrides.set('mcp-login-page', () => LOGIN);
  fixture.agent.overrides.set('mcp-login-begin', () => (begun++, BEGUN));
  const page = await fetch(`${fixture.url}/v1/mcp/oauth/login/${TICKET}`);
  t.equal(page.status, 200);
  const shown = await page.text();
  t.match(shown, 'Fairlead user <strong>ann &#60;b&#62;</strong> to the MCP server <strong>remote&#34;</strong>');
  t.match(shown, /log in at <strong>issuer\.test<\/strong>/);
  t.match(shown, '<form method="post"><button type="submit">');
  t.notMatch(shown, /script|https:/);
  t.match(Object.fromEntries(page.headers), {
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    'referrer-policy': 'same-origin',
    'x-frame-options': 'DENY',
    'cache-control': 'no-store',
  });
  t.equal(page.headers.get('set-cookie'), null);
  t.equal(begun, 0);
  fixture.agent.overrides.set('mcp-login-page', () => null);
  const gone = await fetch(`${fixture.url}/v1/mcp/oauth/login/${TICKET}`);
  t.equal(gone.status, 404);
  t.match(await gone.text(), /ask for a new address/);
});

t.test(
  'the button gives the browser a cookie of that login alone, and leads to the authorization server',
  async (t) => {
    const fixture = await startFront();
    t.teardown(() => fixture.close());
    const asked: unknown[] = [];
    fixture.agent.overrides.set('mcp-login-begin', (body) => (asked.push(body), BEGUN));
    const press = (headers: Record<string, string>) =>
      fetch(`${fixture.url}/v1/mcp/oauth/login/${TICKET}`, { method: 'POST', headers });
    for (const headers of [
      { origin: 'https://evil.test' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
    ]) {
      const refused = await press(headers);
      t.equal(refused.status, 403, JSON.stringify(headers));
      t.equal(refused.headers.get('set-cookie'), null);
      await refused.text();
    }
    t.same(asked, []);
    const begun = await press({
      origin: fixture.url,
      'sec-fetch-site': 'same-origin',
      'content-type': 'application/x-www-form-urlencoded',
    });
    t.equal(begun.status, 200);
    t.same(asked, [{ ticket: TICKET }]);
    const cookie = String(begun.headers.get('set-cookie'));
    t.match(cookie, /^fairlead-login-[0-9a-f]{16}=secret; Path=\/; Max-Age=60; HttpOnly; SameSite=Lax$/);
    const shown = await begun.text();
    t.match(shown, 'http-equiv="refresh" content="0; url=https://issuer.test/authorize?a=1&#38;b=2"');
    t.equal(begun.headers.get('referrer-policy'), 'no-referrer');

    const seen: unknown[] = [];
    fixture.agent.overrides.set('mcp-callback', (body) => {
      seen.push(body);
      return { ok: true, of: { user: 'ann', server: 'remote' } };
    });
    const [pair = ''] = cookie.split(';');
    const come = (header: string) =>
      fetch(`${fixture.url}/v1/mcp/oauth/callback?state=${STATE}&code=c`, { headers: { cookie: header } });
    const back = await come(`other=1; ${pair}; x=${pair}`);
    t.match(back.headers.get('set-cookie'), /^fairlead-login-[0-9a-f]{16}=; Path=\/; Max-Age=0;/);
    await back.text();
    await (await come('fairlead-login-0000000000000000=secret')).text();
    t.same(seen, [
      { state: STATE, code: 'c', browser: 'secret' },
      { state: STATE, code: 'c' },
    ]);
  },
);

function recorded(t: Test): unknown[] {
  const entries: unknown[] = [];
  const post = (entry: string): void => void entries.push(JSON.parse(entry));
  auditTo({ arguments: 'digest', post, stored: async (entry) => post(entry) });
  t.teardown(() => auditTo(undefined));
  return entries;
}

t.test('the audit log has who has logged in to which server, who could not, and who has logged out', async (t) => {
  const fixture = await startFront({ tokens: { alice: 'secret' }, mcpServers: REMOTE });
  t.teardown(() => fixture.close());
  const entries = recorded(t);
  const come = async (end: object): Promise<void> => {
    fixture.agent.overrides.set('mcp-callback', () => end);
    await (await fetch(`${fixture.url}/v1/mcp/oauth/callback?state=${STATE}&code=c`)).text();
  };
  const of = { user: 'alice', server: 'remote' };
  await come({ ok: true, of });
  await come({ ok: false, message: 'the server says access_denied', of });
  await come({ ok: false, message: 'nobody began this' });
  const headers = { authorization: 'Bearer secret' };
  await (await fetch(`${fixture.url}/v1/mcp/remote/login`, { method: 'DELETE', headers })).text();
  const logins = entries.filter((entry) => (entry as { what: string }).what === 'mcp_login');
  const address = '127.0.0.1';
  t.match(logins, [
    { user: 'alice', address, outcome: 'ok', about: { server: 'remote', act: 'login' } },
    { user: 'alice', address, outcome: 'failed', about: { server: 'remote', act: 'login' } },
    { user: 'alice', credential: 'file', address, about: { server: 'remote', act: 'logout', revoked: true } },
  ]);
  t.equal(logins.length, 3, 'an answer that belongs to no login of anybody is none');
  t.notMatch(JSON.stringify(logins), 'access_denied', 'and no text of the server');
});

t.test('while the audit log cannot be written nobody logs in to a server, and the login can be repeated', async (t) => {
  const fixture = await startFront({ mcpServers: REMOTE });
  t.teardown(() => fixture.close());
  const gate = new AuditGate();
  t.teardown(() => gate.set('file', undefined));
  const come = async (): Promise<number> => {
    const answer = await fetch(`${fixture.url}/v1/mcp/oauth/callback?state=${STATE}&code=c`);
    await answer.text();
    return answer.status;
  };
  gate.set('file', 'the disk is full');
  t.equal(await come(), 503);
  t.same(
    fixture.agent.calls.filter(({ name }) => name === 'mcp-callback'),
    [],
    'the code is not used up',
  );
  gate.set('file', undefined);
  t.equal(await come(), 200);
});
