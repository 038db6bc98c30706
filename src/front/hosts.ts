/**
 * Decides which `Host` a request may name. A page whose name is made to lead here (DNS rebinding) sends its own name, so only
 * known names are served. An address cannot be rebound: probes and scrapers use it. Main thread.
 */
import { isIP } from 'node:net';
import type { Config } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';

export interface HostPolicy {
  /** Names without a port. */
  names: readonly string[];
  /** Without configured tokens an address must be this machine's own, with the right port. */
  loopbackOnly: boolean;
  port: () => number;
  /** What a Host without a port means: 443 with TLS. */
  defaultPort?: number;
}

export class Hosts {
  #names: ReadonlySet<string>;
  readonly #policy: HostPolicy;

  constructor(policy: HostPolicy) {
    this.#policy = policy;
    this.#names = namesIn(policy.names);
  }

  /** These and no others count from now on. */
  setNames(names: readonly string[]): void {
    this.#names = namesIn(names);
  }

  /** ERR_FORBIDDEN_ORIGIN, or undefined. `host`: the header, or '' without one. */
  refusal(host: string): FairleadError | undefined {
    const { loopbackOnly, defaultPort = 80 } = this.#policy;
    const { name, port = defaultPort } = partsOf(host.toLowerCase());
    if (this.#names.has(name)) return undefined;
    if (loopbackOnly) {
      const own = this.#policy.port();
      if (isLoopbackName(name) && port === own) return undefined;
      return refused(
        `the Host ${clip(host)} is not this machine's own: without auth.tokens only a loopback address with port ${own} is served, and the names of listen.hosts`,
      );
    }
    if (name === 'localhost' || isIP(name) !== 0) return undefined;
    return refused(`the Host ${clip(host)} is unknown: list the server's name in listen.hosts, or set mcp.publicUrl`);
  }
}

/** The names of the configuration: `listen.hosts`, and those that other keys tell. */
export function namesOf({ listen, mcp }: Pick<Config, 'listen' | 'mcp'>): string[] {
  const urls = [...listen.origins, ...(mcp.publicUrl === undefined ? [] : [mcp.publicUrl])];
  const names = [...listen.hosts, ...urls.map((url) => new URL(url).hostname)];
  // The address to listen on may be a name. One that means all addresses is none.
  return [...names, listen.host].filter((name) => name !== '' && isIP(name.replaceAll(/[[\]]/g, '')) === 0);
}

function namesIn(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}

/** An address of IPv6 without its brackets. */
function partsOf(host: string): { name: string; port?: number } {
  const match = /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(host);
  return { name: match?.[1] ?? match?.[2] ?? '', ...(match?.[3] && { port: Number(match[3]) }) };
}

function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name);
}

function refused(message: string): FairleadError {
  return new FairleadError('ERR_FORBIDDEN_ORIGIN', message);
}

function clip(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
