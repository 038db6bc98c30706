/** Whether a request that brings our cookie comes from a page of this server. Main thread; pure. */

export interface CookieHead {
  /** Upper case. */
  method: string;
  host: string;
  origin: string;
  cookie: string;
  fetchSite: string;
  fetchMode: string;
  /** The client's, for the last use of the token behind the cookie. */
  address?: string;
  /** Given with an upgrade alone, '' without any. */
  protocols?: string;
}

/**
 * SameSite=Lax keeps the cookie from what pages of other sites load and send. Pages at another port or subdomain are of the same
 * site, so the Origin must be this server's own. `listen.origins` opens nothing here: those pages have a token.
 */
export function isOwnPage({ origin, host, fetchSite }: CookieHead, base: string): boolean {
  if (fetchSite !== '' && fetchSite !== 'same-origin') return false;
  if (!/^https?:\/\//.test(origin) || !URL.canParse(origin)) return false;
  const { host: from, protocol } = new URL(origin);
  const own = new URL(base);
  // TLS may end at a proxy that keeps the Host, so the scheme is known for the public address alone.
  if (from === own.host) return protocol === own.protocol;
  return from.toLowerCase() === host.toLowerCase().replace(/:(80|443)$/, '');
}

/** What changes nothing is answered to a page of ours, and to somebody who opens the address or follows a link. */
export function mayRead(head: CookieHead): boolean {
  const { fetchSite, fetchMode } = head;
  return fetchSite === '' || fetchSite === 'none' || fetchSite === 'same-origin' || fetchMode === 'navigate';
}

export function changesSomething({ method, protocols }: CookieHead): boolean {
  return protocols !== undefined || (method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS');
}
