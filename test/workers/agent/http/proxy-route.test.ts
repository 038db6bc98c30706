import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { SafeHttp } from '../../../../workers/agent/http/http.js';
import type { OutboundRules, Resolve } from '../../../../workers/agent/http/outbound.js';
import { CERTIFICATE, KEY } from '../../../helpers/certificate.js';
import { startForwardProxy } from '../../../helpers/forward-proxy.js';
import { startSocksProxy } from '../../../helpers/socks-proxy.js';
import { serve } from '../mcp/remote/remote-kit.js';

// Nobody has signed the certificate of the servers behind the proxy.
process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';

const STRICT: OutboundRules = { allowLoopback: false, allowHosts: [] };
const unknown: Resolve = async () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }));
const always =
  (...addresses: string[]): Resolve =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

async function secureServer(t: Test): Promise<number> {
  const server = createServer({ key: KEY, cert: CERTIFICATE }, (request, response) => {
    response.end(`${request.headers.host} hello`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function http(t: Test, env: Record<string, string>, resolve: Resolve, rules: OutboundRules = STRICT): SafeHttp {
  const { proxies } = parseConfig({}, env);
  const made = new SafeHttp({ name: 'it', rules, maxConnections: 5, timeoutMs: 10_000, resolve, proxies });
  t.teardown(() => made.close());
  return made;
}

t.test('a server whose name only the proxy knows is reached through a tunnel', async (t) => {
  const hosts = { 'mcp.example:443': await secureServer(t) };
  const proxy = await startForwardProxy(t, { hosts, login: 'me:pw' });
  const { host } = new URL(proxy.url);
  const { fetch } = http(t, { HTTPS_PROXY: `http://me:pw@${host}` }, unknown);
  for (let count = 0; count < 6; count++) {
    t.equal(await (await fetch('https://mcp.example/')).text(), 'mcp.example hello');
  }
  t.equal(proxy.asked[0], 'CONNECT mcp.example:443');
  // An answer may be handed on before its connection is free.
  t.ok(proxy.asked.length < 6, 'connections are used again');
  const socks = http(t, { ALL_PROXY: await startSocksProxy(t, hosts) }, unknown);
  t.equal(await (await socks.fetch('https://mcp.example/')).text(), 'mcp.example hello');
});

t.test('what is known here to be a forbidden address is refused before the proxy is asked', async (t) => {
  const proxy = await startForwardProxy(t, { hosts: {} });
  const env = { HTTPS_PROXY: proxy.url };
  for (const address of ['10.0.0.7', '169.254.169.254', '127.0.0.1', '::1']) {
    const one = http(t, env, always(address));
    await t.rejects(one.fetch('https://public.example/'), { code: 'ERR_MCP', message: `resolves to ${address}` });
    const two = http(t, env, always('8.8.8.8', address));
    await t.rejects(two.fetch('https://public.example/'), { code: 'ERR_MCP' }, 'the proxy may take the other one');
  }
  for (const url of ['https://10.0.0.7/', 'https://[fd00::1]/', 'https://169.254.169.254/latest']) {
    await t.rejects(http(t, env, unknown).fetch(url), { code: 'ERR_MCP', message: /not a public address/ }, url);
  }
  await t.rejects(http(t, env, unknown).fetch('http://public.example/'), { code: 'ERR_MCP', message: /not https/ });
  t.same(proxy.asked, []);
});

t.test('a private host that the operator has named goes through the proxy', async (t) => {
  const proxy = await startForwardProxy(t, { hosts: { 'inside.example:443': await secureServer(t) } });
  const rules = { allowLoopback: false, allowHosts: ['inside.example'] };
  const { fetch } = http(t, { HTTPS_PROXY: proxy.url }, always('10.0.0.7'), rules);
  t.equal(await (await fetch('https://inside.example/')).text(), 'inside.example hello');
});

t.test('names are resolved once for many requests, and a resolver that hangs holds nobody', async (t) => {
  const proxy = await startForwardProxy(t, { hosts: { 'mcp.example:443': await secureServer(t) } });
  let asked = 0;
  const hangs: Resolve = () => {
    asked++;
    return new Promise(() => undefined);
  };
  const { fetch } = http(t, { HTTPS_PROXY: proxy.url }, hangs);
  await Promise.all(Array.from({ length: 5 }, async () => (await fetch('https://mcp.example/')).text()));
  t.equal(asked, 1);
});

t.test('what NO_PROXY names, and what is on this machine, is judged by its address as without a proxy', async (t) => {
  const proxy = await startForwardProxy(t, { hosts: {} });
  const env = { ALL_PROXY: proxy.url, NO_PROXY: 'direct.example' };
  await t.rejects(http(t, env, always('10.0.0.7')).fetch('https://direct.example/'), { message: /resolves to 10/ });
  const here = await serve(t, (_request, response) => response.end('here'));
  const loopback = http(t, env, always('127.0.0.1'), { allowLoopback: true, allowHosts: [] });
  t.equal(await (await loopback.fetch(here.url)).text(), 'here');
  t.equal(await (await loopback.fetch(`http://named.example:${here.port}/`)).text(), 'here');
  t.same(proxy.asked, []);
});

t.test('a proxy that refuses or is not there costs the request, which was not sent', async (t) => {
  const proxy = await startForwardProxy(t, { hosts: { 'mcp.example:443': 1 }, login: 'me:right' });
  const { host } = new URL(proxy.url);
  const refused = http(t, { HTTPS_PROXY: `http://me:wrong@${host}` }, unknown);
  await t.rejects(refused.fetch('https://mcp.example/'), {
    code: 'ERR_UNAVAILABLE',
    sent: false,
    message: `it cannot be reached: the proxy ${host} refuses it (407)`,
  });
  const gone = http(t, { HTTPS_PROXY: 'http://127.0.0.1:1' }, unknown);
  await t.rejects(gone.fetch('https://mcp.example/'), { code: 'ERR_UNAVAILABLE', sent: false });
});
