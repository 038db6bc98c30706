import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { encodingFor, readConsole } from '../../../../src/front/console-files.js';
import { FormBrowser } from '../../../helpers/issuer.js';
import { otherPort, startFront, type Fixture, type FixtureOptions } from '../front-fixture.js';

const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

async function builtConsole(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-console-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'assets'));
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>Fairlead</title>');
  await writeFile(join(folder, 'docs.html'), '<!doctype html><title>Interfaces</title>');
  await writeFile(join(folder, 'assets/app-1a2b.js'), 'let whole = 1;');
  await writeFile(join(folder, 'assets/app-1a2b.js.br'), 'brotli');
  await writeFile(join(folder, 'assets/app-1a2b.js.gz'), 'gzip');
  return folder;
}

async function start(t: Test, options: FixtureOptions = {}): Promise<Fixture> {
  const fixture = await startFront({ console: readConsole(await builtConsole(t)), ...options });
  t.teardown(() => fixture.close());
  return fixture;
}

function login(url: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/v1/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: url, ...headers },
    body: JSON.stringify(body),
  });
}

async function codeOf(answer: Response): Promise<string> {
  const { code = '' } = (await answer.json()) as { code?: string };
  return `${answer.status} ${code}`;
}

t.test('the page is for browsers, runs nothing but its own files, and is asked for each time', async (t) => {
  const { url } = await start(t);
  const page = await fetch(url, { headers: HTML });
  t.equal(page.status, 200);
  t.match(await page.text(), /<title>Fairlead/);
  const policy = page.headers.get('content-security-policy')!;
  for (const part of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) {
    t.ok(policy.split('; ').includes(part), part);
  }
  t.notMatch(policy, /unsafe|https?:/);
  t.equal(page.headers.get('x-content-type-options'), 'nosniff');
  t.equal(page.headers.get('cache-control'), 'no-cache');
  const etag = page.headers.get('etag')!;
  const again = await fetch(url, { headers: { ...HTML, 'if-none-match': `"x", ${etag}` } });
  t.same([again.status, await again.text(), again.headers.get('etag')], [304, '', etag]);
  for (const accept of ['*/*', 'application/json']) {
    t.equal(await codeOf(await fetch(url, { headers: { accept } })), '404 ERR_NOT_FOUND', 'programs get what they got');
  }
});

t.test('an asset is good for ever, and comes compressed as the client takes it', async (t) => {
  const { url } = await start(t);
  const get = async (name: string, encoding: string): Promise<string[]> => {
    const answer = await fetch(`${url}/assets/${name}`, { headers: { 'accept-encoding': encoding } });
    await answer.arrayBuffer().catch(() => undefined); // what stands for compressed bytes is none
    const { headers } = answer;
    return [String(answer.status), headers.get('content-encoding') ?? '', headers.get('cache-control') ?? ''];
  };
  const forEver = 'public, max-age=31536000, immutable';
  t.same(await get('app-1a2b.js', 'identity'), ['200', '', forEver]);
  t.same(await get('app-1a2b.js', 'gzip, br'), ['200', 'br', forEver]);
  t.same(await get('app-1a2b.js', 'gzip'), ['200', 'gzip', forEver]);
  for (const name of ['none.js', '..%2Findex.html', 'app-1a2b.js.br']) t.equal((await get(name, ''))[0], '404', name);
  const file = readConsole(await builtConsole(t))!.assets.get('app-1a2b.js')!;
  t.equal(encodingFor('br;q=0, gzip;q=0.5', file), 'gzip');
  t.equal(encodingFor('br;q=0.0', file), undefined);
  t.equal(readConsole(tmpdir()), undefined, 'nothing was built');
});

t.test('the page is there while the server is not ready, since it says so itself', async (t) => {
  const { url, readiness } = await start(t);
  readiness.ready = false;
  t.equal((await fetch(url, { headers: HTML })).status, 200);
});

t.test('a token that is typed in gives its page a cookie, and the cookie gives what the token gives', async (t) => {
  const { url, agent } = await start(t, { tokens: { ada: 'flt_a' }, browsers: {} });
  t.same(await (await fetch(`${url}/v1/login`)).json(), { ways: ['token'] });
  const done = await login(url, { token: ' flt_a\n' });
  t.match(await done.json(), { user: 'ada', role: 'user', groups: [] });
  const cookie = done.headers.get('set-cookie')!;
  t.match(cookie, /; HttpOnly; SameSite=Strict/);
  const headers = { cookie: cookie.split(';')[0]! };
  t.match(await (await fetch(`${url}/v1/login`, { headers })).json(), { person: { user: 'ada', role: 'user' } });
  const own = await fetch(`${url}/v1/sessions`, { method: 'POST', headers: { ...headers, origin: url } });
  t.equal(own.status, 201);
  t.match(agent.calls.at(-1)?.body, { user: 'ada', who: { credential: 'file' } });
  const foreign = await fetch(`${url}/v1/sessions`, { method: 'POST', headers });
  t.equal(await codeOf(foreign), '403 ERR_FORBIDDEN_ORIGIN', 'another page has no use of it');
});

t.test('a bad token, another page, a blocked user and a server without log-in get no cookie', async (t) => {
  const fixture = await start(t, { tokens: { ada: 'flt_a', bob: 'flt_b' }, browsers: {}, blocked: ['bob'] });
  const { url } = fixture;
  const refused: [object, Record<string, string>, string][] = [
    [{ token: 'flt_x' }, {}, '401 ERR_UNAUTHORIZED'],
    [{ code: 'x' }, {}, '401 ERR_UNAUTHORIZED'],
    [{ token: 'flt_b' }, {}, '403 ERR_BLOCKED'],
    [{ token: 'flt_a', code: 'x' }, {}, '400 ERR_BAD_FRAME'],
    [{ token: 'flt_a' }, { origin: otherPort(fixture) }, '403 ERR_FORBIDDEN_ORIGIN'],
    [{ token: 'flt_a' }, { origin: url, 'sec-fetch-site': 'cross-site' }, '403 ERR_FORBIDDEN_ORIGIN'],
  ];
  for (const [body, headers, expected] of refused) {
    const answer = await login(url, body, headers);
    t.equal(answer.headers.get('set-cookie'), null);
    t.equal(await codeOf(answer), expected);
  }
  const open = await start(t);
  t.equal(await codeOf(await login(open.url, { token: 'x' })), '404 ERR_NOT_FOUND');
  t.match(await (await fetch(`${open.url}/v1/login`)).json(), { person: { user: 'local' }, ways: [] });
});

t.test('who tries tokens by the hundred is stopped, with a cookie too', async (t) => {
  const limits = { perAddress: { requestsPerSecond: 1, openRequests: 32, pendingSockets: 1_024 } };
  const { url } = await start(t, { tokens: { ada: 'flt_a' }, browsers: {}, limits });
  const { headers } = await login(url, { token: 'flt_a' });
  const cookie = headers.get('set-cookie')!.split(';')[0]!;
  const codes: string[] = [];
  for (let n = 0; n < 12; n++) codes.push(await codeOf(await login(url, { token: `flt_${n}` }, { cookie })));
  t.equal(codes.at(0), '401 ERR_UNAUTHORIZED');
  t.equal(codes.at(-1), '429 ERR_TOO_MANY_REQUESTS');
});

t.test('the code of the terminal’s link logs in once', async (t) => {
  const fixture = await start(t, { auth: { mode: 'token' }, browsers: { localToken: 'flt_x' } });
  const { url } = fixture;
  const code = fixture.browsers!.makeLink()!.split('=')[1]!;
  const done = await login(url, { code });
  t.match(await done.json(), { user: 'local', role: 'admin' });
  const browser = new FormBrowser();
  t.same([...browser.cookies(url)], []);
  const headers = { cookie: done.headers.get('set-cookie')!.split(';')[0]! };
  t.match(await (await fetch(`${url}/v1/login`, { headers })).json(), { person: { user: 'local' } });
  t.equal(await codeOf(await login(url, { code })), '401 ERR_UNAUTHORIZED', 'used');
});

t.test('a cookie behind a token ends with the token, and its sockets do', async (t) => {
  const fixture = await start(t, { tokens: { ada: 'flt_a', bob: 'flt_b' }, browsers: {} });
  const { url, config } = fixture;
  const done = await login(url, { token: 'flt_a' });
  const headers = { cookie: done.headers.get('set-cookie')!.split(';')[0]! };
  const status = async (): Promise<number> => (await fetch(`${url}/v1/sessions`, { headers })).status;
  t.equal(await status(), 200);
  const made = await fetch(`${url}/v1/sessions`, { method: 'POST', headers: { ...headers, origin: url } });
  const { session } = (await made.json()) as { session: string };
  const stream = await fetch(`${url}/v1/sessions/${session}/events`, { headers });
  t.equal(stream.status, 200);
  config.auth.tokens = config.auth.tokens.filter(({ user }) => user !== 'ada');
  t.equal(fixture.front.applyConfig(), 1, 'the stream was closed');
  t.match(await stream.text(), /ERR_UNAUTHORIZED/);
  t.equal(await status(), 401);
});
