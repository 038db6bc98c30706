import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { startFront } from '../front-fixture.js';

const STATE = 's'.repeat(43);

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
  const fixture = await startFront({ tokens: { alice: 'secret' } });
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
