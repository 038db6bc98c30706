/** Turns a typed address (http, https, ws, wss or host:port) into the server's two base addresses. Pure. */
import { LOOPBACK } from '../shared/config-access.js';
import { FairleadError } from '../shared/errors.js';

export interface Endpoint {
  /** Base of the HTTP routes, without a slash at the end. */
  http: string;
  /** The WebSocket's address, without a query. */
  ws: string;
}

export function parseEndpoint(text: string): Endpoint {
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(withScheme))
    throw new FairleadError('ERR_CONFIG', `${text} is not a server's address: write https://HOST, or HOST:PORT`);
  const url = new URL(withScheme);
  const secure = url.protocol === 'https:' || url.protocol === 'wss:';
  if (!secure && url.protocol !== 'http:' && url.protocol !== 'ws:') {
    throw new FairleadError('ERR_CONFIG', `${text}: the address starts with http://, https://, ws:// or wss://`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '') {
    // Shell histories and proxy logs keep URLs.
    throw new FairleadError('ERR_CONFIG', 'an address must not contain credentials: use --token or FAIRLEAD_TOKEN');
  }
  const prefix = url.pathname.replace(/\/+$/, '').replace(/\/v1\/ws$/, '');
  return {
    http: `${secure ? 'https' : 'http'}://${url.host}${prefix}`,
    ws: `${secure ? 'wss' : 'ws'}://${url.host}${prefix}/v1/ws`,
  };
}

/** The server is reached without a network. */
export function isOnThisMachine({ http }: Endpoint): boolean {
  const host = new URL(http).hostname.replace(/^\[|\]$/g, '');
  return LOOPBACK.has(host) || /^127(\.\d+){3}$/.test(host);
}

export interface Access {
  url: string;
  token: string | undefined;
  /** The user wants a token to travel in the clear. */
  insecure: boolean;
}

/** ERR_CONFIG where a token would cross a network in the clear: whoever listens there could use it. */
export function safeEndpoint({ url, token, insecure }: Access): Endpoint {
  const endpoint = parseEndpoint(url);
  const { protocol, hostname } = new URL(endpoint.http);
  if (token === undefined || insecure || protocol === 'https:' || isOnThisMachine(endpoint)) return endpoint;
  throw new FairleadError(
    'ERR_CONFIG',
    `the token would go to ${hostname} in the clear: use https://, or --insecure on a network that you trust`,
  );
}
