/**
 * The way to `url` servers through the operator's proxy. The proxy resolves names and makes the connections, so the address that a name
 * leads to is its decision; what can be known here is judged all the same. Agent threads.
 */
import { LRUCache } from 'lru-cache';
import { isIP } from 'node:net';
import type { Agent, Dispatcher } from 'undici';
import { atMost } from '../../../src/shared/abort.js';
import { createProxyAgent } from '../../../src/shared/proxy-agent.js';
import { proxyFor, type Proxies } from '../../../src/shared/proxies.js';
import { addressProblem, bare, refusal, type OutboundRules, type Resolve } from './outbound.js';

/** Behind many proxies names of the world do not resolve at all, or after a long time. */
const RESOLVE_MS = 1_000;
/** Judgements are kept, since resolving takes one of the process's few threads for as long as it likes. */
const KEPT_MS = 60_000;
const MAX_KEPT = 200;

export interface ProxyRouteOptions {
  proxies: Proxies;
  rules: OutboundRules;
  resolve: Resolve;
  connections: Agent.Options;
}

export class ProxyRoute {
  readonly #options: ProxyRouteOptions;
  readonly #problems = new LRUCache<string, Promise<string | undefined>>({ max: MAX_KEPT, ttl: KEPT_MS });
  #agent: Dispatcher | undefined;

  constructor(options: ProxyRouteOptions) {
    this.#options = options;
  }

  /** The URL of the proxy; undefined when the request goes straight there, as all of http does: it is for this machine alone. */
  proxyFor(url: URL): string | undefined {
    return url.protocol === 'https:' ? proxyFor(url, this.#options.proxies) : undefined;
  }

  /** Rejects with ERR_MCP where the host is known to be a forbidden address. */
  async enter(url: URL, proxy: string): Promise<Dispatcher> {
    const host = bare(url.hostname);
    const known = this.#problems.get(host) ?? this.#problemOf(host);
    this.#problems.set(host, known, { noUpdateTTL: true });
    const problem = await known;
    if (problem !== undefined) throw refusal(problem);
    this.#agent ??= createProxyAgent(proxy, this.#options.connections);
    return this.#agent;
  }

  async close(): Promise<void> {
    await this.#agent?.destroy();
  }

  /** The proxy may take any of a name's addresses, so one that is forbidden is enough. */
  async #problemOf(host: string): Promise<string | undefined> {
    const { rules, resolve } = this.#options;
    if (isIP(host)) {
      const problem = addressProblem(host, host, rules);
      return problem === undefined ? undefined : `${host} ${problem}`;
    }
    let addresses: readonly { address: string }[] = [];
    const resolving = resolve(host).then(
      (found) => (addresses = found),
      () => undefined, // a name that only the proxy knows
    );
    await atMost(RESOLVE_MS, resolving);
    for (const { address } of addresses) {
      const problem = addressProblem(address, host, rules);
      if (problem !== undefined) return `${host} resolves to ${address}, which ${problem}`;
    }
    return undefined;
  }
}
