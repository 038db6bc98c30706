import { createHash } from 'node:crypto';
import { chromium, type BrowserContext, type Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { dockerHost } from '../helpers/docker.js';
import { startEngine, type Engine } from '../helpers/engine.js';
import { startModelServer, text, tool, type ModelServer } from '../helpers/model-server.js';
import { LoginBrowser } from '../helpers/login-browser.js';
import { findProgram } from '../helpers/programs.js';
import { startOAuthServer, type OAuthServer } from '../helpers/oauth-server.js';
import { startRedis } from '../helpers/redis.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const WAIT = { timeoutMs: 30_000 };

interface World {
  engine: Engine;
  as: OAuthServer;
  model: ModelServer;
  /** As a user, over HTTP. */
  ask: (user: string, method: string, path: string) => Promise<{ status: number; body: Record<string, unknown> }>;
}

/** A server for Alice and Bob, on Redis, that has one MCP server, which wants a login. */
async function world(t: Test): Promise<World> {
  const as = await startOAuthServer();
  t.teardown(() => as.stop());
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const model = await startModelServer();
  t.teardown(() => model.close());
  const engine = await startEngine({
    config: {
      auth: {
        tokens: ['alice', 'bob'].map((user) => ({ user, sha256: sha256(`token of ${user}`.replaceAll(' ', '-')) })),
      },
      agents: { threads: 2 },
      approvals: { default: 'allow' },
      mcp: { allowLoopback: true },
      mcpServers: { remote: { url: as.url } },
    },
    env: {
      DOCKER_HOST: dockerHost(),
      REDIS_URL: redis.url,
      ANTHROPIC_API_KEY: 'sk-test',
      ANTHROPIC_BASE_URL: model.url,
      FAIRLEAD_SECRET_KEY: 'ab'.repeat(32),
    },
  });
  t.teardown(() => engine.stop());
  const ask: World['ask'] = async (user, method, path) => {
    const headers = { authorization: `Bearer token-of-${user}`, 'content-type': 'application/json' };
    const answer = await fetch(`${engine.url}${path}`, {
      method,
      headers,
      ...(method === 'POST' ? { body: '{}' } : {}),
    });
    return { status: answer.status, body: JSON.parse((await answer.text()) || '{}') as Record<string, unknown> };
  };
  return { engine, as, model, ask };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function connectAs(t: Test, engine: Engine, user: string): Promise<TestClient> {
  const client = await connect(engine.wsUrl, { token: `token-of-${user}` });
  t.teardown(() => client.close());
  await client.ready;
  return client;
}

/** What the tool of that name answered in the next turn. */
async function callTool(client: TestClient, model: ModelServer, name: string): Promise<string> {
  model.enqueue(tool(name), text('done'));
  client.say('go');
  const result = await client.waitFor('tool:result', WAIT);
  await client.turnEnd(undefined, WAIT);
  const [block] = result.content;
  return block?.type === 'text' ? block.text : JSON.stringify(block);
}

t.test(
  'a person logs in by the address in a question, at the server’s own callback, and stays logged in',
  async (t) => {
    const { engine, as, model, ask } = await world(t);
    const client = await connectAs(t, engine, 'alice');
    model.enqueue(tool('connect_remote'), text('done'));
    client.say('connect me');
    const asked = await client.waitFor('elicitation:request', WAIT);
    t.match(asked, { server: 'remote', mode: 'url', url: new RegExp(`^${engine.url}/v1/mcp/oauth/login/`) });
    const browser = new LoginBrowser();
    const begin = await browser.open(asked.url ?? '');
    t.match(begin.html, /Fairlead user <strong>alice<\/strong>.*MCP server <strong>remote<\/strong>/);
    t.same(as.authorizations, [], 'opening the page begins nothing');
    const back = await browser.logIn(asked.url ?? '');
    t.ok(back.href.startsWith(`${engine.url}/v1/mcp/oauth/callback?`), back.origin);

    const wrong = new URL(back);
    wrong.searchParams.set('state', 'x'.repeat(43));
    const stranger = await new LoginBrowser().open(back);
    t.equal(stranger.status, 400);
    t.match(stranger.html, /begun in another browser/);
    const refused = await fetch(wrong);
    t.equal(refused.status, 400);
    t.match(await refused.text(), /did not work/);

    const page = await browser.open(back);
    t.equal(page.status, 200);
    t.match(page.html, /You can close this window/);
    t.same([...browser.cookies], [], 'the cookie is gone with the login');
    t.match(Object.fromEntries(page.headers), {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': /default-src 'none'/,
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    t.match(await client.waitFor('elicitation:resolved', WAIT), {
      requestId: asked.requestId,
      action: 'accept',
      by: 'user',
    });
    t.match(await client.waitFor('tool:result', WAIT), { ok: true });
    await client.turnEnd(undefined, WAIT);
    const again = await fetch(back);
    t.equal(again.status, 400, 'an address is good for once');
    await again.text();
    t.equal(await callTool(client, model, 'whoami'), 'whoami: Alice');
    t.same(client.gaps(), []);

    await client.close();
    await engine.restart();
    const later = await connectAs(t, engine, 'alice');
    t.equal(await callTool(later, model, 'whoami'), 'whoami: Alice');
    t.same(as.grants, ['authorization_code']);

    as.person = 'Bob';
    const login = await ask('bob', 'POST', '/v1/mcp/remote/login');
    t.equal(login.status, 200);
    const bobs = new LoginBrowser();
    await bobs.open(await bobs.logIn(String(login.body['url'])));
    const bob = await connectAs(t, engine, 'bob');
    t.equal(await callTool(bob, model, 'whoami'), 'whoami: Bob');
    t.equal(await callTool(later, model, 'whoami'), 'whoami: Alice', 'nobody sees another’s');

    t.same(await ask('bob', 'DELETE', '/v1/mcp/remote/login'), { status: 200, body: { revoked: true } });
    t.match(await ask('bob', 'GET', '/v1/mcp/remote'), { body: { state: 'needs_login' } });
    t.match(await ask('alice', 'GET', '/v1/mcp/remote'), { body: { state: 'healthy' } });
    const told = JSON.stringify([
      engine.logs,
      client.events,
      later.events,
      bob.events,
      await ask('alice', 'GET', '/v1/mcp'),
    ]);
    for (const secret of as.secrets) t.notOk(told.includes(secret));
  },
);

t.test('there is no login to what does not exist, and no way back without a state', async (t) => {
  const { engine, ask } = await world(t);
  t.match(await ask('alice', 'POST', '/v1/mcp/other/login'), { status: 404, body: { code: 'ERR_NOT_FOUND' } });
  t.match(await ask('alice', 'DELETE', '/v1/mcp/other/login'), { status: 404, body: { code: 'ERR_NOT_FOUND' } });
  t.match(await ask('mallory', 'POST', '/v1/mcp/remote/login'), { status: 401 });
  for (const query of ['', '?code=x', `?state=${'x'.repeat(5_000)}`, '?state=<script>alert(1)</script>&error=<b>']) {
    const answer = await fetch(`${engine.url}/v1/mcp/oauth/callback${query}`);
    t.equal(answer.status, 400);
    t.notMatch(await answer.text(), /<script|<b>/);
  }
  const document = await fetch(`${engine.url}/v1/mcp/oauth/client.json`);
  t.equal(document.status, 404, 'nobody could read it at an address that is not https');
  await document.text();
});

async function open(context: BrowserContext, url: string): Promise<Page> {
  const tab = await context.newPage();
  tab.setDefaultTimeout(WAIT.timeoutMs);
  await tab.goto(url);
  return tab;
}

t.test(
  'in a real browser: whose login it is is shown, and only the browser that began it connects an account',
  async (t) => {
    const { as, ask } = await world(t);
    const executablePath = findProgram('chromium');
    if (executablePath === undefined) throw new Error('the test needs chromium');
    const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
    const browser = await chromium.launch({ executablePath, args });
    t.teardown(() => browser.close());
    const [mallory, alice] = [await browser.newContext(), await browser.newContext()];
    const begun = await ask('bob', 'POST', '/v1/mcp/remote/login');
    const page = String(begun.body['url']);

    // Alice is sent the page of another user: she sees whose it is.
    as.person = 'Alice';
    const shown = await open(alice, page);
    t.match(await shown.textContent('body'), /Fairlead user bob.*If you are not bob, close this window/s);
    t.same(as.authorizations, []);
    t.same(await alice.cookies(), []);

    // Alice is sent the address of the authorization server, of a login that began in another browser.
    as.holdsBack = true;
    const theirs = await open(mallory, page);
    await theirs.click('button');
    await theirs.waitForURL(`${as.issuer}/**`);
    const at = theirs.url();
    as.holdsBack = false;
    const lured = await open(alice, at);
    t.match(await lured.textContent('body'), /begun in another browser/);
    t.match(await ask('bob', 'GET', '/v1/mcp/remote'), { body: { state: 'needs_login' } });
    t.same(as.grants, []);

    // The browser in which it began comes back.
    await theirs.goto(at);
    await theirs.waitForSelector('text=You are logged in');
    t.same(await mallory.cookies(), []);
    t.match(await ask('bob', 'GET', '/v1/mcp/remote'), { body: { state: 'healthy' } });

    // A page of another site cannot begin it for her.
    const again = String((await ask('alice', 'POST', '/v1/mcp/remote/login')).body['url']);
    const evil = await open(alice, as.issuer);
    const status = await evil.evaluate(
      async (url) => (await fetch(url, { method: 'POST', mode: 'no-cors' }).catch(() => undefined))?.type ?? 'failed',
      again,
    );
    t.match(status, /opaque|failed/);
    t.same(await alice.cookies(), [], 'nothing has begun');
  },
);
