import t from 'tap';
import type { LookupAddress } from 'node:dns';
import { SafeHttp } from '../../../../workers/agent/http/http.js';
import { addressProblem, type OutboundRules, type Resolve } from '../../../../workers/agent/http/outbound.js';
import { ToolBox } from '../test-tools.js';
import { call, caller, remotes, serve, serveModern, textOf, type Teardown } from '../mcp/remote/remote-kit.js';

const STRICT: OutboundRules = { allowLoopback: false, allowHosts: [] };

void t.test('public addresses pass, and no others', async (t) => {
  const refused = [
    ['127.0.0.1', '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '224.0.0.1'],
    ['255.255.255.255', '240.0.0.1', '198.18.0.1', '192.0.2.1', '::1', '::', 'fe80::1', 'fc00::1', 'fd00:ec2::254'],
    ['ff02::1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '::127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::', '2001::1'],
    ['2001:db8::1', 'fec0::1'],
    // Next to ::127.0.0.1 and ::10.0.0.1, and below and above what is routed, 2000::/3.
    ['::7f00:1', '::a00:1', '1fff::1', '4000::1', '8000::1', 'a000::1', 'e000::1'],
  ].flat();
  for (const address of refused) t.type(addressProblem(address, 'example.com', STRICT), 'string', address);
  const passing = ['8.8.8.8', '2606:4700::1111', '::ffff:8.8.8.8', '2000::1', '3fff:ffff::1'];
  for (const address of passing) t.equal(addressProblem(address, 'example.com', STRICT), undefined);
  const rules = { allowLoopback: true, allowHosts: ['inside.example'] };
  t.equal(addressProblem('10.0.0.1', 'inside.example', rules), undefined);
  t.type(addressProblem('10.0.0.1', 'other.example', rules), 'string');
  t.type(addressProblem('169.254.169.254', 'inside.example', rules), 'string', 'metadata, whatever the host is called');
  t.equal(addressProblem('::1', 'localhost', rules), undefined);
});

function http(t: Teardown, rules: OutboundRules, resolve?: Resolve): SafeHttp {
  const made = new SafeHttp({
    name: 'it',
    rules,
    maxConnections: 5,
    timeoutMs: 3_000,
    ...(resolve ? { resolve } : {}),
  });
  t.teardown(() => made.close());
  return made;
}

const at = (address: string): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 });

void t.test('a name that resolves to this machine or a private network is refused, by its address', async (t) => {
  for (const address of ['127.0.0.1', '10.0.0.7', '169.254.169.254', '::1']) {
    const { fetch } = http(t, STRICT, async () => [at(address)]);
    await t.rejects(fetch('https://public.example/mcp'), {
      code: 'ERR_MCP',
      message: new RegExp(`resolves to ${address}`),
    });
  }
  const { fetch } = http(t, STRICT);
  for (const url of [
    'https://127.0.0.1/',
    'https://[::1]/',
    'https://[::ffff:10.0.0.1]/',
    'https://169.254.169.254/',
  ]) {
    await t.rejects(fetch(url), { code: 'ERR_MCP', message: /address|machine/ }, url);
  }
  await t.rejects(fetch('http://example.com/'), { code: 'ERR_MCP', message: /not https/ });
  await t.rejects(fetch('file:///etc/passwd'), { code: 'ERR_MCP', message: /not https/ });
});

void t.test('http goes to this machine alone, whatever its name resolves to', async (t) => {
  const { fetch } = http(t, { allowLoopback: true, allowHosts: ['localhost'] }, async () => [at('8.8.8.8')]);
  await t.rejects(fetch('http://localhost/'), { code: 'ERR_MCP', message: /http is for loopback alone/ });
});

void t.test('DNS rebinding: each connection goes to the very address that was checked for it', async (t) => {
  const server = await serve(t, (_request, response) => response.writeHead(200, { connection: 'close' }).end('hello'));
  const answers = [[at('127.0.0.1')], [at('10.0.0.1')]];
  let asked = 0;
  const { fetch } = http(t, { allowLoopback: true, allowHosts: [] }, async () => answers[asked++]!);
  const url = `http://rebinding.example:${server.port}/`;
  t.equal(await (await fetch(url)).text(), 'hello');
  t.equal(server.seen[0]!.headers.host, `rebinding.example:${server.port}`, 'the name is what the server sees');
  await t.rejects(fetch(url), { code: 'ERR_MCP', message: /resolves to 10\.0\.0\.1/ });
  t.equal(asked, 2, 'no second look between judging and connecting');
});

void t.test('of several addresses only the allowed ones are used', async (t) => {
  const server = await serve(t, (_request, response) => response.end('hello'));
  const { fetch } = http(t, { allowLoopback: true, allowHosts: [] }, async () => [at('10.0.0.1'), at('127.0.0.1')]);
  t.equal(await (await fetch(`http://two.example:${server.port}/`)).text(), 'hello');
});

void t.test('a redirect is checked as the first address was, each refusal for its own reason', async (t) => {
  const { fetch } = http(t, { allowLoopback: true, allowHosts: [] });
  const refused: [string, RegExp][] = [
    ['https://10.0.0.1/', /10\.0\.0\.1 is not a public address/],
    ['https://169.254.169.254/latest/meta-data', /169\.254\.169\.254 is not a public address/],
    ['http://8.8.8.8/', /http is for loopback alone/],
    ['file:///etc/passwd', /not https/],
    ['http://user:password@127.0.0.1/', /no usable address/],
  ];
  for (const [to, message] of refused) {
    const server = await serve(t, (_request, response) => response.writeHead(307, { location: to }).end());
    await t.rejects(fetch(server.url), { code: 'ERR_MCP', message }, to);
  }
});

void t.test(
  'a redirect to another origin takes no headers along and no body; within the origin both stay',
  async (t) => {
    const there = await serve(t, (_request, response) => response.end('there'));
    const here = await serve(t, (request, response) => {
      if (request.url === '/new') return response.end('new');
      const location = request.url === '/mcp' ? there.url : '/new';
      return response.writeHead(request.url === '/303' ? 303 : 307, { location }).end();
    });
    const { fetch } = http(t, { allowLoopback: true, allowHosts: [] });
    const headers = { authorization: 'Bearer secret', 'mcp-session-id': 's', 'x-key': 'secret', accept: 'text/plain' };
    t.equal(await (await fetch(here.url, { headers })).text(), 'there');
    const { authorization, accept, 'x-key': key, 'mcp-session-id': session } = there.seen[0]!.headers;
    t.same([authorization, key, session, accept], [undefined, undefined, undefined, 'text/plain']);
    await t.rejects(fetch(here.url, { method: 'POST', headers, body: '{}' }), {
      code: 'ERR_MCP',
      message: /has moved to/,
    });
    t.equal(there.seen.length, 1, 'the body went nowhere');
    const origin = new URL(here.url).origin;
    t.equal(await (await fetch(`${origin}/307`, { method: 'POST', headers, body: '{}' })).text(), 'new');
    t.match(here.seen.at(-1), { method: 'POST', headers: { authorization: 'Bearer secret' } });
    await t.rejects(
      fetch(`${origin}/303`, { method: 'POST', body: '{}' }),
      { message: /has moved to/ },
      'no POST becomes a GET',
    );
  },
);

void t.test('endless redirects are given up after five', async (t) => {
  const server = await serve(t, (_request, response) => response.writeHead(302, { location: '/again' }).end());
  const { fetch } = http(t, { allowLoopback: true, allowHosts: [] });
  await t.rejects(fetch(server.url), { code: 'ERR_MCP', message: /redirects/ });
  t.equal(server.seen.length, 6);
  t.equal((await fetch(server.url, { redirect: 'manual' })).status, 302);
});

void t.test('headers of the configuration go to their server only', async (t) => {
  const server = await serveModern(t, new ToolBox());
  const backend = remotes(t, { one: { url: server.url, headers: { 'X-Key': 'k', Authorization: 'Bearer fixed' } } });
  const connection = await backend.get(caller(), 'one');
  t.equal(textOf(await connection.callTool(call('echo', { text: 'a' }))), 'echo: a');
  for (const { headers } of server.seen) t.match(headers, { 'x-key': 'k', authorization: 'Bearer fixed' });
});

void t.test('401 with fixed headers says what to do', async (t) => {
  const server = await serve(t, (_request, response) => response.writeHead(401).end());
  const backend = remotes(t, { one: { url: server.url, headers: { Authorization: 'Bearer wrong' } } });
  const connection = await backend.get(caller(), 'one');
  const error = await connection.callTool(call('echo')).catch((error: unknown) => error as Error & { code: string });
  t.match(error, { code: 'ERR_MCP', message: /check its headers and auth/ });
  t.notMatch(error, { message: /wrong/ });
});

void t.test('a compressed response is refused: its size is unknown', async (t) => {
  const server = await serve(t, (request, response) => {
    t.equal(request.headers['accept-encoding'], 'identity');
    response.writeHead(200, { 'content-encoding': 'gzip' }).end('bomb');
  });
  await t.rejects(http(t, { allowLoopback: true, allowHosts: [] }).fetch(server.url), {
    code: 'ERR_MCP',
    message: /encoding gzip/,
  });
});
