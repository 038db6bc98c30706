/** Decides which web pages and proxies may reach the server: checks Origin, Host and what proxies add, and makes the CORS headers. Main thread. */
import { FairleadError } from '../shared/errors.js';
import type { Hosts } from './hosts.js';

export interface OriginPolicy {
  /** `listen.origins`. */
  origins: readonly string[];
  /** Why requests that came through a proxy are refused; undefined: they are served. */
  noProxy?: string | undefined;
  hosts: Hosts;
}

export interface OriginHeaders {
  origin: string;
  host: string;
  fetchSite: string;
  fetchMode: string;
  fetchDest: string;
  /** The header that a proxy has added, or ''. */
  proxiedBy: string;
}

export class Origins {
  readonly #policy: OriginPolicy;
  #listed: ReadonlySet<string>;

  constructor(policy: OriginPolicy) {
    this.#policy = policy;
    this.#listed = listedIn(policy.origins);
  }

  /** These and no others are allowed from now on. */
  setOrigins(origins: readonly string[]): void {
    this.#listed = listedIn(origins);
  }

  /** ERR_FORBIDDEN_PROXY, ERR_FORBIDDEN_ORIGIN, or undefined. An empty `origin` means no header, as in requests that no page makes. */
  refusal(headers: OriginHeaders): FairleadError | undefined {
    const { origin, proxiedBy } = headers;
    const { noProxy } = this.#policy;
    if (noProxy !== undefined && proxiedBy !== '') {
      return new FairleadError('ERR_FORBIDDEN_PROXY', `the header ${proxiedBy} comes from a proxy, and ${noProxy}`);
    }
    const unknown = this.#policy.hosts.refusal(headers.host);
    if (unknown) return unknown;
    if (origin === '' && isPartOfForeignPage(headers)) {
      return new FairleadError('ERR_FORBIDDEN_ORIGIN', 'a page of another origin must not load this');
    }
    if (origin === '' || this.#isListed(origin) || hostOf(origin) === withoutDefaultPort(headers.host))
      return undefined;
    return new FairleadError('ERR_FORBIDDEN_ORIGIN', `the Origin ${clip(origin)} is not in listen.origins`);
  }

  /** The headers without which a page of this Origin could not read the answer. */
  corsHeaders(origin: string): [string, string][] {
    if (origin === '' || !this.#isListed(origin)) return [];
    return [
      ['Access-Control-Allow-Origin', origin],
      [
        'Access-Control-Expose-Headers',
        'Retry-After, Mcp-Session-Id, X-Request-Id, ETag, Content-Range, Content-Disposition',
      ],
      ['Vary', 'Origin'],
    ];
  }

  #isListed(origin: string): boolean {
    return this.#listed.has(origin.toLowerCase());
  }
}

function listedIn(origins: readonly string[]): ReadonlySet<string> {
  return new Set(origins.map((origin) => originOf(new URL(origin))));
}

/**
 * A page loads an address as an image, a script or a frame without an Origin. Opening a link is no such request. A page at another
 * port of this host is of the same site, and may be another account's.
 */
function isPartOfForeignPage({ fetchSite, fetchMode, fetchDest }: OriginHeaders): boolean {
  if (fetchSite !== 'cross-site' && fetchSite !== 'same-site') return false;
  return fetchMode !== 'navigate' || (fetchDest !== 'document' && fetchDest !== '');
}

/** As a browser writes it. A URL calls the origin of a scheme such as `tauri:` null, which every sandboxed page sends, too. */
function originOf({ origin, protocol, host }: URL): string {
  return origin === 'null' ? `${protocol}//${host}`.toLowerCase() : origin;
}

/**
 * Host and port of a web page's Origin. http and https are not told apart, since TLS may end at a proxy that keeps the Host. An app
 * of another scheme is no page of this server, whatever its host is called.
 */
function hostOf(origin: string): string | undefined {
  return /^https?:\/\//.test(origin) && URL.canParse(origin) ? withoutDefaultPort(new URL(origin).host) : undefined;
}

function withoutDefaultPort(host: string): string {
  return host.toLowerCase().replace(/:(80|443)$/, '');
}

function clip(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
