import t from 'tap';
import { parseConfig, type ConfigError } from '../../../src/shared/config.js';
import { proxyFor, shownProxy } from '../../../src/shared/proxies.js';

const proxyOf = (url: string, env: Record<string, string>): string | undefined =>
  proxyFor(new URL(url), parseConfig({}, env).proxies);

function problemsOf(env: Record<string, string>): readonly unknown[] {
  try {
    parseConfig({}, env);
    return [];
  } catch (error) {
    return (error as ConfigError).problems;
  }
}

t.test('each protocol has its variable, ALL_PROXY stands in, and lower case counts first', async (t) => {
  const https = 'https://api.example/';
  const http = 'http://api.example/';
  t.equal(proxyOf(https, {}), undefined);
  t.equal(proxyOf(https, { HTTPS_PROXY: 'http://p:1' }), 'http://p:1/');
  t.equal(proxyOf(http, { HTTPS_PROXY: 'http://p:1' }), undefined);
  t.equal(proxyOf(https, { HTTP_PROXY: 'http://p:1' }), undefined);
  t.equal(proxyOf(http, { HTTP_PROXY: 'http://p:1' }), 'http://p:1/');
  for (const url of [https, http]) {
    t.equal(proxyOf(url, { ALL_PROXY: 'http://a:1', HTTPS_PROXY: '', HTTP_PROXY: '' }), 'http://a:1/');
  }
  t.equal(proxyOf(https, { ALL_PROXY: 'http://a:1', HTTPS_PROXY: 'http://p:1' }), 'http://p:1/');
  t.equal(proxyOf(https, { https_proxy: 'http://low:1', HTTPS_PROXY: 'http://UP:1' }), 'http://low:1/');
});

t.test('a proxy may be written as people write it', async (t) => {
  const kinds: [given: string, proxy: string][] = [
    ['proxy:3128', 'http://proxy:3128/'],
    ['proxy', 'http://proxy/'],
    ['10.0.0.1:8080', 'http://10.0.0.1:8080/'],
    [' https://proxy:443 ', 'https://proxy/'],
    ['http://me:p%40ss@proxy:3128', 'http://me:p%40ss@proxy:3128/'],
    ['socks5://proxy:1080', 'socks5://proxy:1080'],
    ['socks5h://proxy:1080', 'socks5://proxy:1080'],
    ['socks://proxy:1080', 'socks5://proxy:1080'],
  ];
  for (const [given, proxy] of kinds) t.equal(proxyOf('https://api.example', { HTTPS_PROXY: given }), proxy, given);
  t.equal(shownProxy('http://me:secret@proxy:3128/'), 'proxy:3128');
});

t.test('what is no proxy is a problem that names the variable and no password', async (t) => {
  for (const given of [
    'socks4://proxy:1080',
    'ftp://proxy',
    'http://',
    'http://me:secret@proxy:port',
    'http://me:1#secret@proxy:2',
    'http://me:1/secret@proxy',
    'http://me:1?secret@proxy',
    'http://me:50%secret@proxy',
  ]) {
    const problems = problemsOf({ HTTPS_PROXY: given });
    t.match(problems, [{ path: 'HTTPS_PROXY' }], given);
    t.notMatch(JSON.stringify(problems), /secret/);
  }
});

const isDirectWith = (no: string, url: string): boolean =>
  proxyOf(url, { HTTPS_PROXY: 'http://p:1', HTTP_PROXY: 'http://p:1', NO_PROXY: no }) === undefined;

t.test('NO_PROXY names hosts, domains, addresses and ranges, with a port or not', async (t) => {
  const kinds: [no: string, url: string, isDirect: boolean][] = [
    ['', 'https://api.example', false],
    ['*', 'https://api.example', true],
    ['api.example', 'https://api.example', true],
    ['API.Example', 'https://api.example', true],
    ['example', 'https://api.example', true],
    ['.example', 'https://api.example', true],
    ['*.example', 'https://api.example', true],
    ['pi.example', 'https://api.example', false],
    ['api.example.org', 'https://api.example', false],
    ['x, api.example;y', 'https://api.example', false],
    ['x,api.example', 'https://api.example', true],
    ['x api.example', 'https://api.example', true],
    ['api.example:443', 'https://api.example', true],
    ['api.example:8443', 'https://api.example', false],
    ['api.example:8443', 'https://api.example:8443', true],
    ['10.1.2.3', 'http://10.1.2.3', true],
    ['10.0.0.0/8', 'http://10.1.2.3', true],
    ['10.0.0.0/8', 'http://11.1.2.3', false],
    ['10.0.0.0/8', 'http://api.example', false],
    ['2.3', 'http://10.1.2.3', false],
    ['fd00::/8', 'http://[fd00::1]', true],
    ['[fd00::1]:80', 'http://[fd00::1]', true],
    ['fd00::1', 'http://[fd00::1]:8080', true],
    ['.', 'https://api.example', false],
    ['nonsense/99', 'https://api.example', false],
  ];
  for (const [no, url, isDirect] of kinds) t.equal(isDirectWith(no, url), isDirect, `${no} ${url}`);
});

t.test('what is on this machine never goes through a proxy', async (t) => {
  for (const host of ['localhost', 'dev.localhost', '127.0.0.1', '127.8.9.1', '[::1]', '[::ffff:127.0.0.1]']) {
    t.equal(proxyOf(`http://${host}:3000`, { ALL_PROXY: 'http://p:1' }), undefined, host);
  }
});
