/** Cookies as text: their names, what a browser is told of them, and how they come back. Main thread; pure. */
import { createHash } from 'node:crypto';

/** Browsers take 4,096 bytes of name and value together (RFC 6265, section 6.1). */
export const MAX_COOKIE_BYTES = 3_800;

/** Where users' browsers reach this server. */
export interface Site {
  /** Without a slash at its end. */
  base: string;
  port: number;
}

export function isSecure({ base }: Site): boolean {
  return base.startsWith('https:');
}

/**
 * With `__Host-` no other host or subdomain can set the cookie, and it goes over https alone. Browsers refuse the prefix on plain
 * http, which is for one's own machine: there the port tells servers apart, since a host's cookies go to all its ports.
 */
export function sessionCookieName(site: Site): string {
  return isSecure(site) ? '__Host-fairlead' : `fairlead-${site.port}`;
}

/** Of one log-in that has begun: a browser may have several, one in each tab. */
export function flowCookieName(site: Site, state: string): string {
  const prefix = isSecure(site) ? '__Host-' : '';
  return `${prefix}fairlead-in-${createHash('sha256').update(state).digest('hex').slice(0, 16)}`;
}

export interface CookieOrder {
  name: string;
  value: string;
  maxAgeMs: number;
  /** No other site leads to the log-in, as an issuer does: the cookie comes along from our own pages alone. */
  strict?: boolean;
}

/** Lax: it comes along when a link or an issuer leads here, and not with what other sites' pages load or send. */
export function setCookie(site: Site, { name, value, maxAgeMs, strict = false }: CookieOrder): string {
  const secure = isSecure(site) ? '; Secure' : '';
  const maxAge = Math.max(0, Math.ceil(maxAgeMs / 1_000));
  return `${name}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=${strict ? 'Strict' : 'Lax'}${secure}`;
}

export function dropCookie(site: Site, name: string): string {
  return setCookie(site, { name, value: '', maxAgeMs: 0 });
}

/** All values of that name: a page at another port or path of the host may have put one beside ours. */
export function cookieValues(header: string, name: string): string[] {
  const values: string[] = [];
  for (const part of header.split(';')) {
    const pair = part.trim();
    if (!pair.startsWith(`${name}=`)) continue;
    const value = pair.slice(name.length + 1);
    if (value !== '' && value.length <= MAX_COOKIE_BYTES) values.push(value);
  }
  return values;
}
