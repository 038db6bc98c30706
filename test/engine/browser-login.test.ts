import { once } from 'node:events';
import { chromium, type Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { dockerHost } from '../helpers/docker.js';
import { startEngine, type Engine } from '../helpers/engine.js';
import { CLIENT_ID, CLIENT_SECRET, FormBrowser, startIssuer, type Issuer } from '../helpers/issuer.js';
import { findProgram } from '../helpers/programs.js';
import { startRedis } from '../helpers/redis.js';

t.setTimeout(240_000); // whole processes and a browser, on a machine that may be busy

const WAIT_MS = 60_000;
const PEOPLE = { ada: { groups: ['staff'] }, olga: { groups: ['ops'] } };

async function start(t: Test, issuer: Issuer, redisUrl: string): Promise<Engine> {
  const oidc = {
    issuer: issuer.url,
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    roles: { operator: ['ops'] },
  };
  const engine = await startEngine({
    config: { auth: { oidc }, mcpServers: {}, agents: { threads: 1 } },
    env: { DOCKER_HOST: dockerHost(), REDIS_URL: redisUrl, FAIRLEAD_SECRET_KEY: 'ab'.repeat(32) },
  });
  t.teardown(() => engine.stop());
  return engine;
}

async function issuerAndRedis(t: Test): Promise<{ issuer: Issuer; redisUrl: string }> {
  const issuer = await startIssuer({ people: PEOPLE });
  t.teardown(() => issuer.close());
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  return { issuer, redisUrl: redis.url };
}

/** Opens a WebSocket in the page. Resolves with its first event's type and user, or with its close code. */
function openSocket(page: Page, at: string): Promise<string> {
  return page.evaluate(
    (url) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(url, ['fairlead.v1']);
        const known = globalThis as unknown as { socketClosed: Promise<number> };
        known.socketClosed = new Promise((close) => socket.addEventListener('close', ({ code }) => close(code)));
        void known.socketClosed.then((code) => resolve(String(code)));
        socket.addEventListener('message', ({ data }) => {
          const { type, user } = JSON.parse(data as string) as { type: string; user?: string };
          resolve(`${type} ${user}`);
        });
      }),
    at.replace('http', 'ws') + '/v1/ws',
  );
}

function closeCode(page: Page): Promise<number> {
  return page.evaluate(() => (globalThis as unknown as { socketClosed: Promise<number> }).socketClosed);
}

function countSessions(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const answer = await fetch('/v1/sessions');
    return ((await answer.json()) as { sessions: unknown[] }).sessions.length;
  });
}

async function signIn(page: Page, person: string): Promise<void> {
  await page.fill('input[name=login]', person);
  await page.fill('input[name=password]', 'x');
  await page.click('button[type=submit]');
}

t.test('in a real browser: log-in at the issuer, the cookie on own pages alone, both log-outs', async (t) => {
  const { issuer, redisUrl } = await issuerAndRedis(t);
  const { url } = await start(t, issuer, redisUrl);
  await issuer.register(url);
  const executablePath = findProgram('chromium');
  if (executablePath === undefined) throw new Error('the test needs chromium');
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
  const browser = await chromium.launch({ executablePath, args });
  t.teardown(() => browser.close());
  const context = await browser.newContext();
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();

  await page.goto(`${url}/auth`);
  t.match(await page.textContent('body'), /You are not logged in/);
  await page.click('text=Log in');
  await signIn(page, 'olga');
  await page.waitForSelector('text=You are logged in as olga (operator of ops)');
  t.equal(page.url(), `${url}/auth`);

  // A document without our page's policy, which lets no script open anything.
  const app = await context.newPage();
  await app.goto(`${url}/healthz`);
  t.equal(await app.evaluate('document.cookie'), '', 'no script reads it');
  t.equal(await openSocket(app, url), 'session:ready olga');
  const made = await app.evaluate(async () => {
    const answer = await fetch('/v1/sessions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    return answer.status;
  });
  t.equal(made, 201);

  // The issuer's pages are at another port of the same host, so they are of the same site: the browser sends the cookie along.
  const foreign = await context.newPage();
  await foreign.goto(`${issuer.url}/.well-known/openid-configuration`);
  t.equal(await openSocket(foreign, url), '1006', 'refused before the upgrade');
  const before = await countSessions(app);
  await foreign.evaluate(async (at) => {
    const init: RequestInit = { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}' };
    await fetch(`${at}/v1/sessions`, init).catch(() => undefined);
    await fetch(`${at}/auth/logout`, init).catch(() => undefined);
  }, url);
  t.equal(await countSessions(app), before, 'nothing was made, and nobody was logged out');

  // The issuer ends its session, and tells us behind the browser's back.
  await foreign.goto(`${issuer.url}/session/end`);
  await foreign.click('button[name=logout]');
  t.equal(await closeCode(app), 4401);
  await page.goto(`${url}/auth`);
  t.match(await page.textContent('body'), /Your login has ended/);
  t.same(
    (await context.cookies(url)).filter(({ name }) => name.startsWith('fairlead')),
    [],
  );

  await page.click('text=Log in');
  await signIn(page, 'ada');
  await page.waitForSelector('text=You are logged in as ada (user of staff)');
  t.equal(await openSocket(app, url), 'session:ready ada');
  await page.click('text=Log out');
  await page.waitForSelector('text=You are logged out');
  t.equal(await closeCode(app), 4401);
  await page.goBack();
  t.notMatch(await page.textContent('body'), /logged in as/, 'no page of before is shown');
});

t.test(
  'two servers on one store and key: a login counts at both, and a log-out at one closes its sockets at the other',
  async (t) => {
    const { issuer, redisUrl } = await issuerAndRedis(t);
    const [one, two] = [await start(t, issuer, redisUrl), await start(t, issuer, redisUrl)];
    await issuer.register(one.url);
    const browser = new FormBrowser();
    await browser.logIn(`${one.url}/auth/login`, 'ada');
    const value = [...browser.cookies(one.url).values()][0]!;
    const at = ({ url }: Engine): { cookie: string; origin: string } => ({
      cookie: `fairlead-${new URL(url).port}=${value}`,
      origin: url,
    });
    const status = async (engine: Engine): Promise<number> => {
      const answer = await fetch(`${engine.url}/v1/sessions`, { headers: { cookie: at(engine).cookie } });
      await answer.text();
      return answer.status;
    };
    t.same([await status(one), await status(two)], [200, 200]);
    const socket = new WebSocket(two.wsUrl, { headers: at(two) });
    t.teardown(() => socket.terminate());
    await once(socket, 'message');
    const closed = once(socket, 'close');
    const out = await browser.send(`${one.url}/auth/logout`, { method: 'POST', headers: { origin: one.url } });
    t.equal(out.status, 303);
    t.equal((await closed)[0], 4401);
    t.same([await status(one), await status(two)], [401, 401]);
    await one.restart();
    t.equal(await status(one), 401, 'also after a restart');
  },
);
