import type { IncomingHttpHeaders } from 'node:http';
import t, { type Test } from 'tap';
import { probeModel } from '../../../../src/shared/model-probe.js';
import { parseConfig } from '../../../../src/shared/config.js';
import { createAnthropicModel } from '../../../../workers/agent/model/anthropic.js';
import { startForwardProxy } from '../../../helpers/forward-proxy.js';
import { startSocksProxy } from '../../../helpers/socks-proxy.js';
import { EVENT_STREAM, MESSAGE_START, sse, startRawApi } from './raw-api.js';
import { ask, listen } from './streams.js';

const { signal } = new AbortController();
const SAID = ['authorization', 'x-api-key', 'x-team', 'anthropic-version'];

/** A gateway that answers `GET /v1/models` with this status, and what it was asked. */
async function gateway(
  t: Test,
  status = 200,
  refuses: (headers: IncomingHttpHeaders) => number | undefined = () => undefined,
) {
  // prettier-ignore
  const asked: { path: string; headers: Record<string, unknown> }[] = [];
  const { url } = await startRawApi(t, (request, response) => {
    const path = `${request.method} ${request.url}`;
    asked.push({ path, headers: Object.fromEntries(SAID.map((name) => [name, request.headers[name]])) });
    const refused = refuses(request.headers);
    if (refused !== undefined) response.writeHead(refused).end();
    else if (request.method === 'GET') response.writeHead(status, { 'content-type': 'text/html' }).end('<html>');
    else if (request.headers['content-length'] === '2') response.writeHead(400).end();
    else response.writeHead(200, EVENT_STREAM).end(MESSAGE_START + sse('message_stop'));
  });
  return { url, port: Number(new URL(url).port), asked };
}

const probe = (env: Record<string, string>) => {
  const { anthropic, proxies } = parseConfig({}, env);
  return probeModel(anthropic, proxies, signal);
};
const message = (env: Record<string, string>) => listen(createAnthropicModel(parseConfig({}, env)), ask());

for (const [what, env] of Object.entries({
  'a key': { ANTHROPIC_API_KEY: 'key' },
  'a token': { ANTHROPIC_AUTH_TOKEN: 'token' },
  'a key, a token and headers': {
    ANTHROPIC_API_KEY: 'key',
    ANTHROPIC_AUTH_TOKEN: 'token',
    ANTHROPIC_CUSTOM_HEADERS: 'X-Team: blue',
  },
  'an authorization of the operator': { ANTHROPIC_API_KEY: 'key', ANTHROPIC_CUSTOM_HEADERS: 'Authorization: Basic x' },
})) {
  t.test(`the start’s check asks with the credentials of messages: ${what}`, async (t) => {
    const { url, asked } = await gateway(t);
    const to = { ...env, ANTHROPIC_BASE_URL: url };
    t.match(await probe(to), { state: 'answers' });
    await message(to);
    const [first, second] = asked;
    t.same(first?.headers, second?.headers);
    t.ok(first?.headers['authorization']);
  });
}

t.test('every way to write a gateway’s address leads to its routes, in the check and in messages', async (t) => {
  for (const end of ['', '/', '/v1', '/v1/', '/v1/messages', '/anthropic', '/anthropic/v1/']) {
    const { url, asked } = await gateway(t);
    const to = { ANTHROPIC_API_KEY: 'key', ANTHROPIC_BASE_URL: url + end };
    await probe(to);
    await message(to);
    const base = end.startsWith('/anthropic') ? '/anthropic' : '';
    t.same(
      asked.map(({ path }) => path),
      [`GET ${base}/v1/models?limit=1`, `POST ${base}/v1/messages`],
      end,
    );
  }
});

t.test('a gateway that takes one kind of credentials alone gets it', async (t) => {
  for (const name of ['authorization', 'x-api-key']) {
    const { url } = await gateway(t, 200, (headers) => (headers[name] === undefined ? 401 : undefined));
    const to = { ANTHROPIC_API_KEY: 'key', ANTHROPIC_BASE_URL: url };
    t.match(await probe(to), { state: 'answers' }, name);
    await message(to);
  }
});

t.test('a gateway without the route of models, or that keeps it from this key, answers', async (t) => {
  for (const status of [200, 400, 401, 403, 404, 405, 500, 501, 502, 503, 302]) {
    const { url } = await gateway(t, status);
    t.match(await probe({ ANTHROPIC_API_KEY: 'key', ANTHROPIC_BASE_URL: url }), { state: 'answers' }, String(status));
  }
});

t.test('a key that messages refuse, nobody behind a gateway, and a redirect are told', async (t) => {
  const kinds: [status: number, answer: object][] = [
    [401, { state: 'refuses-key', status: 401 }],
    [403, { state: 'refuses-key', status: 403 }],
    [502, { state: 'away', why: 'it answers 502' }],
    [504, { state: 'away', why: 'it answers 504' }],
    [307, { state: 'away', why: 'it redirects, status 307' }],
  ];
  for (const [status, answer] of kinds) {
    const { url } = await gateway(t, 200, () => status);
    t.match(await probe({ ANTHROPIC_API_KEY: 'key', ANTHROPIC_BASE_URL: url }), answer);
  }
});

t.test('the check and messages go through the proxy, which alone knows the gateway’s name', async (t) => {
  const { port, asked } = await gateway(t);
  const proxy = await startForwardProxy(t, { hosts: { 'gateway.invalid:80': port }, login: 'me:p@ss' });
  const login = new URL(proxy.url);
  login.username = 'me';
  login.password = 'p@ss';
  for (const name of ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY']) {
    asked.length = proxy.asked.length = 0;
    const to = { ANTHROPIC_API_KEY: 'key', ANTHROPIC_BASE_URL: 'http://gateway.invalid', [name]: login.href };
    t.match(await probe(to), { state: 'answers' }, name);
    t.match((await message(to)).answer, { content: [] });
    t.same(proxy.asked, ['GET http://gateway.invalid/v1/models?limit=1', 'POST http://gateway.invalid/v1/messages']);
    t.equal(asked.length, 2);
  }
});

t.test('a SOCKS5 proxy is one', async (t) => {
  const { port, asked } = await gateway(t);
  const proxy = await startSocksProxy(t, { 'gateway.invalid:80': port });
  const to = { ANTHROPIC_API_KEY: 'key', ANTHROPIC_BASE_URL: 'http://gateway.invalid', ALL_PROXY: proxy };
  t.match(await probe(to), { state: 'answers' });
  await message(to);
  t.equal(asked.length, 2);
});

t.test('an address that NO_PROXY names is reached without the proxy', async (t) => {
  const proxy = await startForwardProxy(t, { hosts: {} });
  const to = { ANTHROPIC_API_KEY: 'key', ANTHROPIC_BASE_URL: 'http://gateway.invalid', HTTP_PROXY: proxy.url };
  t.match(await probe({ ...to, NO_PROXY: '.invalid' }), { state: 'away', why: /ENOTFOUND|EAI_AGAIN/ });
  t.same(proxy.asked, []);
  t.match(await probe(to), { state: 'away', why: 'it answers 502' });
});

t.test('a proxy that refuses is named, without its password', async (t) => {
  const { port } = await gateway(t);
  const proxy = await startForwardProxy(t, {
    hosts: { 'gateway.invalid:80': port, 'gateway.invalid:443': port },
    login: 'me:right',
  });
  const { host } = new URL(proxy.url);
  for (const scheme of ['http', 'https']) {
    const to = {
      ANTHROPIC_API_KEY: 'key',
      ANTHROPIC_BASE_URL: `${scheme}://gateway.invalid`,
      ALL_PROXY: `http://me:wrong@${host}`,
    };
    t.match(await probe(to), { state: 'away', why: `the proxy ${host} refuses it (407)` }, scheme);
    const model = createAnthropicModel(parseConfig({}, to), { maxRetries: 0 });
    const failed = listen(model, ask());
    await t.rejects(failed, { code: 'ERR_MODEL', message: `cannot be reached: the proxy ${host} refuses it (407)` });
    await failed.catch((error: Error) => t.notMatch(error.message, /wrong/));
  }
});
