import t, { type Test } from 'tap';
import { IssuerClient, type IssuerOptions } from '../../../../src/front/browser/issuer-client.js';
import { NO_PROXIES } from '../../../../src/shared/proxies.js';
import {
  CLIENT_ID,
  CLIENT_SECRET,
  FormBrowser,
  startIssuer,
  type Issuer,
  type IssuerOptions as Real,
} from '../../../helpers/issuer.js';

const BASE = 'http://127.0.0.1:9';
const CALLBACK = `${BASE}/auth/callback`;

async function world(
  t: Test,
  options: Real = {},
): Promise<{ issuer: Issuer; client: IssuerClient; browser: FormBrowser }> {
  const issuer = await startIssuer({ people: { ada: { groups: ['staff'], sub: 'ada' } }, ...options });
  t.teardown(() => issuer.close());
  await issuer.register(BASE);
  return { issuer, client: clientOf(issuer.url), browser: new FormBrowser() };
}

function clientOf(issuer: string, more: Partial<IssuerOptions> = {}): IssuerClient {
  return new IssuerClient({
    issuer,
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    scope: 'openid',
    algorithms: ['RS256', 'ES256'],
    clockSkewMs: 30_000,
    redirectUrl: () => CALLBACK,
    proxies: NO_PROXIES,
    ...more,
  });
}

t.test('who logs in at the issuer is known by name and groups, and the code is good once', async (t) => {
  for (const algorithm of ['RS256', 'ES256'] as const) {
    const { issuer, client, browser } = await world(t, { algorithm });
    const { url, flow } = await client.begin();
    t.match(new URL(url).searchParams.get('code_challenge_method'), 'S256');
    const back = (await browser.logIn(url, 'ada', { stop: CALLBACK })).url;
    t.match(await client.finish(back.search.slice(1), flow, ['groups']), {
      iss: issuer.url,
      sub: 'ada',
      groups: ['staff'],
      sid: String,
      iat: Number,
    });
    await t.rejects(client.finish(back.search.slice(1), flow, ['groups']), {
      code: 'ERR_UNAUTHORIZED',
      message: /refuses the code \(invalid_grant\)/,
    });
  }
});

t.test('claims that the ID token has not are read at the userinfo endpoint', async (t) => {
  const { client, browser } = await world(t, { userinfoOnly: true, people: { ada: { groups: ['staff'] } } });
  const { url, flow } = await client.begin();
  const back = (await browser.logIn(url, 'ada', { stop: CALLBACK })).url;
  t.match(await client.finish(back.search.slice(1), flow, ['sub', 'groups']), { sub: 'ada', groups: ['staff'] });
});

t.test('what comes back belongs to what this browser began, or is refused', async (t) => {
  const { client, browser } = await world(t);
  const other = await client.begin();
  const come = async (change: (query: URLSearchParams) => void, flowOf?: typeof other): Promise<void> => {
    const { url, flow } = await client.begin();
    const { searchParams } = (await browser.logIn(url, 'ada', { stop: CALLBACK })).url;
    change(searchParams);
    await client.finish(searchParams.toString(), flowOf?.flow ?? flow, []);
  };
  await come(() => undefined);
  const refused = { code: 'ERR_UNAUTHORIZED' };
  await t.rejects(
    come((query) => query.set('state', 'x')),
    refused,
    'another state',
  );
  await t.rejects(
    come((query) => query.delete('state')),
    refused,
    'no state',
  );
  await t.rejects(
    come(() => undefined, other),
    refused,
    'the flow of another browser',
  );
  await t.rejects(
    come((query) => query.set('iss', 'https://evil.test')),
    refused,
    'another issuer',
  );
  await t.rejects(
    come((query) => query.delete('iss')),
    refused,
    'no issuer, though it says so always',
  );
  await t.rejects(
    come((query) => query.set('code', 'x')),
    refused,
    'another code',
  );
  await t.rejects(
    come((query) => query.append('code', 'x')),
    refused,
    'two codes',
  );
  await t.rejects(
    come((query) => query.delete('code')),
    refused,
    'no code',
  );
  const mixed = async (part: 'nonce' | 'verifier'): Promise<void> => {
    const { url, flow } = await client.begin();
    const { search } = (await browser.logIn(url, 'ada', { stop: CALLBACK })).url;
    await client.finish(search.slice(1), { ...flow, [part]: other.flow[part] }, []);
  };
  await t.rejects(mixed('nonce'), refused, 'another nonce');
  await t.rejects(mixed('verifier'), refused, 'another verifier');
});

t.test('an error of the issuer is told by its code; a text of the address is not repeated', async (t) => {
  const { issuer, client } = await world(t);
  const { flow } = await client.begin();
  const iss = encodeURIComponent(issuer.url);
  const denied = client.finish(
    `state=${flow.state}&iss=${iss}&error=access_denied&error_description=call+this+number`,
    flow,
    [],
  );
  await t.rejects(denied, { code: 'ERR_UNAUTHORIZED', message: 'the issuer says access_denied' });
  const odd = client.finish(
    `state=${flow.state}&iss=${iss}&error=${encodeURIComponent('<b>call this number')}`,
    flow,
    [],
  );
  await t.rejects(odd, { code: 'ERR_UNAUTHORIZED', message: 'the issuer says no' });
});

t.test('an ID token that is signed by an algorithm that is not listed is refused', async (t) => {
  const { issuer, browser } = await world(t);
  const client = clientOf(issuer.url, { algorithms: ['ES256'] });
  const { url, flow } = await client.begin();
  const back = (await browser.logIn(url, 'ada', { stop: CALLBACK })).url;
  await t.rejects(client.finish(back.search.slice(1), flow, []), { code: 'ERR_UNAUTHORIZED' });
});

t.test('an issuer that is away is asked once for all who come, and again after a second', async (t) => {
  let now = 0;
  const issuer = await startIssuer();
  t.teardown(() => issuer.close());
  const client = clientOf('http://127.0.0.1:1', { now: () => now });
  for (const error of await Promise.all(
    [client.begin(), client.begin()].map((each) => each.catch((error: unknown) => error)),
  )) {
    t.match(error, { code: 'ERR_UNAVAILABLE' });
  }
  const late = clientOf(issuer.url, { now: () => now });
  await Promise.all([late.begin(), late.begin(), late.begin()]);
  t.same(issuer.asked, ['/.well-known/openid-configuration']);
  now += 3_600_001;
  await issuer.close();
  t.ok(await late.begin(), 'old metadata are better than none');
});

t.test('an address that answers as another issuer is not taken for this one', async (t) => {
  const { issuer } = await world(t);
  const client = clientOf(issuer.url.replace('127.0.0.1', 'localhost'));
  await t.rejects(client.begin(), { code: 'ERR_UNAVAILABLE' });
});
