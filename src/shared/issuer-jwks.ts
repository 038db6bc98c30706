/** Reads the public keys of an OpenID Connect issuer. Main thread and command line's process. */
import type { JSONWebKeySet } from 'jose';
import { isLoopbackHost } from './config-oidc.js';
import { proxyFor, type Proxies } from './proxies.js';
import { createProxyAgent, undici } from './proxy-agent.js';

/** Of one request; there are two. */
const TIMEOUT_MS = 5_000;
/** Far more than metadata or keys. */
const MAX_BYTES = 1_048_576;

export interface IssuerAddress {
  issuer: string;
  proxies: Proxies;
}

/** Rejects with the reason, in words without much of the issuer's own. */
export async function readIssuerKeys(from: IssuerAddress): Promise<JSONWebKeySet> {
  try {
    const about = await getJson(from, new URL(`${from.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`));
    const { issuer: named, jwks_uri: uri } = about as { issuer?: unknown; jwks_uri?: unknown };
    if (named !== from.issuer) throw new Error('its metadata name another issuer');
    if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Error('its metadata name no jwks_uri');
    const { keys } = (await getJson(from, new URL(uri))) as { keys?: unknown };
    // An empty list is a fault of the issuer rather than its will that nobody gets in.
    if (!Array.isArray(keys) || keys.length === 0) throw new Error('it has no keys');
    return { keys: keys as JSONWebKeySet['keys'] };
  } catch (error) {
    throw new Error(reasonOf(error), { cause: error });
  }
}

/** No redirect is followed: the address of the keys comes from the metadata alone. */
async function getJson({ issuer, proxies }: IssuerAddress, url: URL): Promise<object> {
  const isLocal = isLoopbackHost(new URL(issuer).hostname) && isLoopbackHost(url.hostname);
  if (url.protocol !== 'https:' && !isLocal) throw new Error(`${url.host} is asked over https alone`);
  const { fetch, Agent } = undici();
  const limits = { maxResponseSize: MAX_BYTES };
  const proxy = proxyFor(url, proxies);
  const dispatcher = proxy === undefined ? new Agent(limits) : createProxyAgent(proxy, limits);
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const headers = { accept: 'application/json, application/jwk-set+json' };
    const answer = await fetch(url, { dispatcher, signal, headers, redirect: 'error' });
    if (answer.status !== 200) throw new Error(`${url.host} answers ${answer.status}`);
    const json: unknown = await answer.json();
    if (typeof json !== 'object' || json === null) throw new Error(`${url.host} answers something else`);
    return json;
  } finally {
    // An issuer is asked a few times an hour: a connection that is kept would only wait.
    void dispatcher.destroy();
  }
}

function reasonOf(error: unknown): string {
  const at = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const { message, code } = at as { message?: unknown; code?: unknown };
  return String(message || code || at).slice(0, 200);
}
