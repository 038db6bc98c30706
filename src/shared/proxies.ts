/** Which proxy a request goes through, as the environment says it: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY. Pure; every thread. */
import ipaddr from 'ipaddr.js';
import type { ConfigProblem } from './config.js';

export interface Proxies {
  /** URLs of the proxies for https and for http; '' for none. They may hold a password. */
  readonly https: string;
  readonly http: string;
  /** Hosts that are reached without one, as NO_PROXY lists them. */
  readonly no: readonly string[];
}

export const NO_PROXIES: Proxies = { https: '', http: '', no: [] };

const PROTOCOLS = new Set(['http:', 'https:', 'socks5:']);
const DEFAULT_PORTS: Record<string, string> = { 'http:': '80', 'https:': '443' };

/** The lower-case name counts before the upper-case one, as in curl. */
export function readProxies(env: NodeJS.ProcessEnv, problems: ConfigProblem[]): Proxies {
  const read = (name: string): string => readProxy(name.toUpperCase(), valueOf(env, name), problems);
  const all = read('all_proxy');
  return {
    https: read('https_proxy') || all,
    http: read('http_proxy') || all,
    no: valueOf(env, 'no_proxy')
      .toLowerCase()
      .split(/[,\s]+/)
      .filter((entry) => entry !== ''),
  };
}

/** Undefined when the request goes straight there. What is on this machine always does. */
export function proxyFor(url: URL, proxies: Proxies): string | undefined {
  const proxy = url.protocol === 'https:' ? proxies.https : proxies.http;
  if (proxy === '') return undefined;
  const host = bare(url.hostname.toLowerCase());
  const port = url.port || DEFAULT_PORTS[url.protocol];
  if (isThisMachine(host) || proxies.no.some((entry) => covers(entry, host, port))) return undefined;
  return proxy;
}

/** For people: never with its password. */
export function shownProxy(proxy: string): string {
  return new URL(proxy).host;
}

function valueOf(env: NodeJS.ProcessEnv, name: string): string {
  return (env[name] || env[name.toUpperCase()] || '').trim();
}

/** Without a scheme it is an http proxy. */
function readProxy(path: string, value: string, problems: ConfigProblem[]): string {
  if (value === '') return '';
  const given = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const text = given.replace(/^socks(?:5h)?:/i, 'socks5:');
  const problem = proxyProblem(text);
  if (problem === undefined) return new URL(text).href;
  problems.push({ path, message: problem });
  return '';
}

/** Never with a part of the URL, which may be of the password. */
function proxyProblem(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || url.hostname === '' || !PROTOCOLS.has(url.protocol)) {
    return 'must be the URL of a proxy: http://, https:// or socks5://';
  }
  // Such a character in a password ends the host, and the beginning of the password would be taken for the port.
  if (url.hash !== '' || url.search !== '' || !['', '/'].includes(url.pathname)) {
    return 'must end with its host and port: in user and password write %23 for #, %2F for / and %3F for ?';
  }
  try {
    decodeURIComponent(url.username + url.password);
    return undefined;
  } catch (error) {
    if (error instanceof URIError) return 'has a % in user or password: write %25 for it';
    throw error;
  }
}

function isThisMachine(host: string): boolean {
  if (host === 'localhost' || host.endsWith('.localhost')) return true;
  return ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback';
}

/** `*`, a domain with all below it (also written `.domain` or `*.domain`), an address, a range of addresses, each with a port or not. */
function covers(entry: string, host: string, port: string | undefined): boolean {
  if (entry === '*') return true;
  const [, name, entryPort] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [undefined, entry, undefined];
  if (entryPort !== undefined && entryPort !== port) return false;
  const wanted = bare(name).replace(/^\*?\./, '');
  if (ipaddr.isValid(host)) return coversAddress(wanted, host);
  return wanted !== '' && (host === wanted || host.endsWith(`.${wanted}`));
}

function coversAddress(wanted: string, host: string): boolean {
  const address = ipaddr.process(host);
  if (ipaddr.isValid(wanted)) return ipaddr.process(wanted).toString() === address.toString();
  if (!ipaddr.isValidCIDR(wanted)) return false;
  const [range, bits] = ipaddr.parseCIDR(wanted);
  return range.kind() === address.kind() && address.match(range, bits);
}

function bare(host: string): string {
  return host.replaceAll(/^\[|\]$/g, '');
}
