/** Decides which web pages and proxies may reach the server: checks Origin, Host and what proxies add, and makes the CORS headers. Main thread. */
import { FairleadError } from '../shared/errors.js';

export interface OriginPolicy {
  /** `listen.origins`. */
  origins: readonly string[];
  /** Why requests that came through a proxy are refused; undefined: they are served. */
  noProxy?: string | undefined;
  /** Without configured tokens the Host must be this machine's own name, or a page could get in by DNS rebinding. */
  loopbackOnly: boolean;
  port: () => number;
}

export interface OriginHeaders {
  origin: string;
  host: string;
  fetchSite: string;
  fetchMode: string;
  /** The header that a proxy has added, or ''. */
  proxiedBy: string;
}

export class Origins {
  readonly #policy: OriginPolicy;
  readonly #listed: ReadonlySet<string>;
  readonly #listedHosts: ReadonlySet<string>;

  constructor(policy: OriginPolicy) {
    this.#policy = policy;
    const urls = policy.origins.map((origin) => new URL(origin));
    this.#listed = new Set(urls.map(originOf));
    this.#listedHosts = new Set(urls.map((url) => withoutDefaultPort(url.host)));
  }

  /** ERR_FORBIDDEN_PROXY, ERR_FORBIDDEN_ORIGIN, or undefined. An empty `origin` means no header, as in requests that no page makes. */
  refusal(headers: OriginHeaders): FairleadError | undefined {
    const { origin, fetchSite, fetchMode, proxiedBy } = headers;
    const { noProxy } = this.#policy;
    if (noProxy !== undefined && proxiedBy !== '') {
      return new FairleadError('ERR_FORBIDDEN_PROXY', `the header ${proxiedBy} comes from a proxy, and ${noProxy}`);
    }
    const host = withoutDefaultPort(headers.host);
    if (this.#policy.loopbackOnly && !this.#isOwnHost(host)) {
      return new FairleadError(
        'ERR_FORBIDDEN_ORIGIN',
        `the Host ${clip(host)} is not this machine's own: without auth.tokens only a loopback address with port ${this.#policy.port()} is served, and what listen.origins lists`,
      );
    }
    // A page of another site loads an address as an image or a script without an Origin. Opening a link is no such request.
    if (origin === '' && fetchSite === 'cross-site' && fetchMode !== 'navigate') {
      return new FairleadError('ERR_FORBIDDEN_ORIGIN', 'a page of another site must not load this');
    }
    if (origin === '' || this.#isListed(origin) || hostOf(origin) === host) return undefined;
    return new FairleadError('ERR_FORBIDDEN_ORIGIN', `the Origin ${clip(origin)} is not in listen.origins`);
  }

  /** The headers without which a page of this Origin could not read the answer. */
  corsHeaders(origin: string): [string, string][] {
    if (origin === '' || !this.#isListed(origin)) return [];
    return [
      ['Access-Control-Allow-Origin', origin],
      ['Access-Control-Expose-Headers', 'Retry-After, Mcp-Session-Id'],
      ['Vary', 'Origin'],
    ];
  }

  #isListed(origin: string): boolean {
    return this.#listed.has(origin.toLowerCase());
  }

  #isOwnHost(host: string): boolean {
    if (this.#listedHosts.has(host)) return true;
    const match = /^(localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::(\d+))?$/.exec(host);
    return match !== null && Number(match[2] ?? 80) === this.#policy.port();
  }
}

/** As a browser writes it. A URL calls the origin of a scheme such as `tauri:` null, which every sandboxed page sends, too. */
function originOf({ origin, protocol, host }: URL): string {
  return origin === 'null' ? `${protocol}//${host}`.toLowerCase() : origin;
}

/** Host and port of an Origin. Schemes are not compared, since TLS may end at a proxy that keeps the Host. */
function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? withoutDefaultPort(new URL(origin).host) : undefined;
}

function withoutDefaultPort(host: string): string {
  return host.toLowerCase().replace(/:(80|443)$/, '');
}

function clip(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
