/** Sends requests through a proxy. Every thread. */
import type * as Undici from 'undici';
import { createRequire } from 'node:module';
import { shownProxy } from './proxies.js';

/** Loaded when it is needed, and by require: see workers/agent/model/anthropic-sdk.ts. */
export function undici(): typeof Undici {
  return createRequire(import.meta.url)('undici') as typeof Undici;
}

/** `options`: of the connections to the servers behind the proxy. */
export function createProxyAgent(proxy: string, options: Undici.Agent.Options = {}): Undici.Dispatcher {
  const { ProxyAgent } = undici();
  // A plain http request is handed to the proxy whole: many let nobody tunnel to another port than 443.
  return new ProxyAgent({ ...options, uri: withPassword(proxy), proxyTunnel: false });
}

/** undici sends a user without a password as nobody. */
function withPassword(proxy: string): string {
  const url = new URL(proxy);
  return url.username !== '' && url.password === '' ? proxy.replace('@', ':@') : proxy;
}

/** In words, when the proxy itself refused; undefined for every other failure. */
export function proxyRefusal(error: unknown, proxy: string): string | undefined {
  for (let depth = 0, at: unknown = error; depth < 5 && at instanceof Error; depth++, at = at.cause) {
    const status = /^Proxy response \((\d+)\)|^Proxy Authentication Required \((407)\)/.exec(at.message);
    if (status) return `the proxy ${shownProxy(proxy)} refuses it (${status[1] ?? status[2]})`;
  }
  return undefined;
}
