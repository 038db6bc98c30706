/** Composes the log-in of browsers: the issuer, the cookies, the one-time link, and how a log-out reaches everybody. Main thread. */
import { Browsers } from '../front/browser/browsers.js';
import type { Site } from '../front/browser/cookie-text.js';
import type { EndedEntry } from '../front/browser/ended-logins.js';
import { IssuerClient } from '../front/browser/issuer-client.js';
import { OneTimeLinks } from '../front/browser/one-time-links.js';
import { claimsReader, roleOf } from '../front/oidc/claims.js';
import type { BrowserRoutesOptions, IssuerPart } from '../front/routes/browser-login.js';
import type { Config } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import type { OidcConfig } from '../shared/config-oidc.js';
import type { Person, Role } from '../shared/person.js';
import type { Access } from './access.js';
import { openBrowserKeys } from './browser-key.js';

export interface BrowserAccessOptions {
  config: Config;
  access: Access;
  /** The first seals the cookies, all open them. */
  keys: readonly [string, ...string[]];
  site: () => Site;
  /** Closes the sockets and streams of whom `ends` is true. */
  close: (ends: (person: Person) => boolean) => void;
  /** Writes into the table that all servers of the store share. Rejects when that fails. */
  keep: (entry: EndedEntry) => Promise<unknown>;
}

export interface BrowserAccess extends BrowserRoutesOptions {
  /** The address of a new one-time link; undefined where the token of the data folder does not count. */
  makeLink(): string | undefined;
}

/** Undefined where no browser can log in. The caller holds the data folder. ERR_START when its key is not to be trusted. */
export function openBrowserAccess(options: Omit<BrowserAccessOptions, 'keys'>): BrowserAccess | undefined {
  const { config } = options;
  if (config.auth.mode === 'none') return undefined;
  return browserAccess({ ...options, keys: openBrowserKeys(config) });
}

export function browserAccess({ config, access, keys, site, close, keep }: BrowserAccessOptions): BrowserAccess {
  const { oidc, browsers: times } = config.auth;
  const { localToken } = access;
  const browsers = new Browsers({
    keys,
    site,
    ...times,
    ...(oidc && { issuer: { issuer: oidc.issuer, roleOf: (groups) => roleNow(oidc, groups) } }),
    ...(localToken !== undefined && { localToken }),
  });
  const links = new OneTimeLinks();
  const closeEnded = (): void => close((person) => browsers.hasEnded(person));
  browsers.ended.onEnded = closeEnded;
  return {
    browsers,
    links,
    issuer: oidc && oidc.clientId !== '' ? issuerPart(config, oidc, site) : undefined,
    async end(login) {
      const entry = browsers.ended.end(login);
      closeEnded();
      await keep(entry);
    },
    async endByIssuer(logOut) {
      const entry = browsers.ended.endByIssuer(logOut);
      closeEnded();
      await keep(entry);
    },
    makeLink: () => (localToken === undefined ? undefined : `${site().base}/#once=${links.make()}`),
  };
}

/** By the configuration of now, which may let other groups in than that of the log-in. */
function roleNow(oidc: OidcConfig, groups: readonly string[]): Role | undefined {
  const { onlyGroups } = oidc;
  const isIn = onlyGroups.length === 0 || groups.some((group) => onlyGroups.includes(group));
  return isIn ? roleOf(oidc, groups) : undefined;
}

function issuerPart({ proxies }: Config, oidc: OidcConfig, site: () => Site): IssuerPart {
  const { issuer, clientId, clientSecret, scope, algorithms, clockSkewMs, userClaim, groupsClaim } = oidc;
  const read = claimsReader(oidc);
  const redirectUrl = (): string => `${site().base}/auth/callback`;
  return {
    client: new IssuerClient({ issuer, clientId, clientSecret, scope, algorithms, clockSkewMs, redirectUrl, proxies }),
    wanted: [userClaim, groupsClaim],
    userOf(claims) {
      const person = read(claims);
      if ('refused' in person) throw new FairleadError('ERR_UNAUTHORIZED', person.refused);
      return person;
    },
  };
}
