/** Routes of browsers: log in at the issuer, come back, log out, and the one-time link. Main thread. */
import { audit } from '../../shared/audit.js';
import { FairleadError, isFairleadError } from '../../shared/errors.js';
import { LOCAL_USER } from '../../shared/token-file.js';
import { TokenBucket } from '../../shared/token-bucket.js';
import type { Browsers } from '../browser/browsers.js';
import { cookieValues, dropCookie, flowCookieName, setCookie } from '../browser/cookie-text.js';
import type { Claims, Flow, IssuerClient } from '../browser/issuer-client.js';
import type { IssuerLogOut, Login } from '../browser/login.js';
import type { OneTimeLinks } from '../browser/one-time-links.js';
import { OWN_PAGE, returnPath } from '../browser/return-path.js';
import { isOwnPage } from '../browser/same-origin.js';
import type { Exchange, Header } from '../http.js';
import { get, postFields, postForm, type Route } from '../router.js';
import { blockedPage, failedPage, linkPage, ownPage, strangerPage } from './browser-pages.js';

/** A person types a password and a second factor meanwhile. */
const FLOW_MS = 900_000;
/** The browser was sent to the public address already. */
const MOVED = 'moved';
/** Refusals are recorded at this rate, since anybody can cause them. */
const [REFUSALS_BURST, REFUSALS_PER_SECOND] = [100, 1];

export interface IssuerPart {
  client: IssuerClient;
  /** The claims that name a user: asked for at the userinfo endpoint when the ID token has them not. */
  wanted: readonly string[];
  /** ERR_UNAUTHORIZED with the reason for a user who is not let in. */
  userOf: (claims: Claims) => { user: string; groups: readonly string[] };
}

export interface BrowserRoutesOptions {
  browsers: Browsers;
  links: OneTimeLinks;
  /** Absent: nobody logs in but by the link. */
  issuer?: IssuerPart | undefined;
  /** Ends the login everywhere: its sockets here at once, and its cookies at other servers. Rejects when they cannot be told. */
  end: (login: Login) => Promise<void>;
  /** As `end`, for what an issuer ends. */
  endByIssuer: (logOut: IssuerLogOut) => Promise<void>;
  now?: () => number;
}

/** What a browser keeps while its user is at the issuer. */
interface SealedFlow {
  flow: Flow;
  to: string;
  endsAt: number;
}

export function browserRoutes(options: BrowserRoutesOptions, isBlocked: (user: string) => boolean): Route[] {
  const { browsers, links, issuer, end, endByIssuer, now = Date.now } = options;
  const refusals = new TokenBucket(REFUSALS_BURST, REFUSALS_PER_SECOND);
  return [
    get(OWN_PAGE, ({ exchange, query }) => showOwnPage(exchange, query), { access: 'open' }),
    get('/auth/login', ({ exchange, query }) => begin(exchange, query), { access: 'open', noHead: true }),
    get('/auth/callback', ({ exchange, query }) => comeBack(exchange, query), { access: 'open', noHead: true }),
    postForm('/auth/logout', ({ exchange }) => logOut(exchange)),
    postFields('/auth/backchannel-logout', ({ exchange }, fields) => logOutByIssuer(exchange, fields)),
    get(
      '/auth/once',
      ({ exchange, query }) => {
        if (links.has(query.get('code') ?? '')) linkPage(exchange, LOCAL_USER);
        else failedPage(exchange, 404, LINK_GONE);
      },
      { access: 'open' },
    ),
    postForm('/auth/once', ({ exchange, query }) => {
      checkOwnPage(exchange);
      const { address } = exchange.head;
      if (isBlocked(LOCAL_USER)) return blockedPage(exchange, LOCAL_USER);
      const begun = links.take(query.get('code') ?? '') ? browsers.logInLocal() : undefined;
      if (!begun) {
        refused('login_failed', address, { by: 'link' });
        return failedPage(exchange, 404, LINK_GONE);
      }
      audit({
        what: 'login',
        user: LOCAL_USER,
        credential: `cookie:${begun.login.id}`,
        address,
        about: { by: 'link' },
      });
      return exchange.empty(303, [
        ['Location', OWN_PAGE],
        ['Set-Cookie', begun.cookie],
      ]);
    }),
  ];

  function showOwnPage(exchange: Exchange, query: URLSearchParams): void {
    const person = browsers.identify(exchange.head);
    const logIn = issuer !== undefined;
    if (person === undefined) {
      const out = query.get('out') !== null;
      const why = out ? 'You are logged out' : 'You are not logged in';
      return strangerPage(
        exchange,
        { why, logIn, endSessionUrl: out ? issuer?.client.endSessionUrl() : undefined },
        [],
      );
    }
    if (isFairleadError(person, 'ERR_UNAVAILABLE')) throw person;
    if (person instanceof FairleadError) {
      return strangerPage(exchange, { why: 'Your login has ended', logIn }, [['Set-Cookie', browsers.dropCookie()]]);
    }
    if (isBlocked(person.user)) return blockedPage(exchange, person.user);
    const renewed = browsers.renewal(person);
    return ownPage(exchange, person, renewed === undefined ? [] : [['Set-Cookie', renewed]]);
  }

  async function begin(exchange: Exchange, query: URLSearchParams): Promise<void> {
    if (!issuer) return failedPage(exchange, 404, 'This server knows no issuer to log in at (auth.oidc)');
    const to = returnPath(query.get('return'));
    if (to === undefined) return failedPage(exchange, 400, 'The address to return to is not of this server');
    const { site } = browsers;
    // The issuer sends the browser to the public address, and only there it has its cookie.
    if (query.get(MOVED) === null && exchange.head.host.toLowerCase() !== new URL(site.base).host) {
      const there = new URLSearchParams({ return: to, [MOVED]: '' });
      return exchange.empty(302, [['Location', `${site.base}/auth/login?${there.toString()}`]]);
    }
    try {
      const { url, flow } = await issuer.client.begin();
      const value = browsers.sealer.seal('flow', { flow, to, endsAt: now() + FLOW_MS } satisfies SealedFlow);
      const name = flowCookieName(site, flow.state);
      return exchange.empty(302, [
        ['Location', url],
        ['Set-Cookie', setCookie(site, { name, value, maxAgeMs: FLOW_MS })],
      ]);
    } catch (error) {
      return fail(exchange, error, []);
    }
  }

  async function comeBack(exchange: Exchange, query: URLSearchParams): Promise<void> {
    if (!issuer) throw new FairleadError('ERR_NOT_FOUND', 'no such resource');
    const { address, cookie: sent } = exchange.head;
    const state = query.get('state') ?? '';
    const name = flowCookieName(browsers.site, state);
    // Good for once: also when it fails, the browser forgets it.
    const forget: Header[] = [['Set-Cookie', dropCookie(browsers.site, name)]];
    const found = cookieValues(sent, name).map(
      (value) => browsers.sealer.open('flow', value)?.value as SealedFlow | undefined,
    );
    const kept = found.find((each) => each?.flow.state === state);
    try {
      if (!kept)
        throw new FairleadError('ERR_UNAUTHORIZED', 'this login was begun in another browser, or is done already');
      if (kept.endsAt <= now()) throw new FairleadError('ERR_UNAUTHORIZED', 'this login took too long: begin it again');
      const claims = await issuer.client.finish(exchange.head.query, kept.flow, issuer.wanted);
      const { user, groups } = issuer.userOf(claims);
      const sid = typeof claims['sid'] === 'string' ? { sid: claims['sid'] } : {};
      if (isBlocked(user)) {
        refused('login_failed', address, { by: 'oidc', user, code: 'ERR_BLOCKED' });
        return blockedPage(exchange, user, forget);
      }
      const { iss, sub, iat } = claims;
      const by = { kind: 'issuer' as const, issuer: iss, sub, ...sid, issuedAt: iat };
      const { login, cookie } = browsers.logIn({ user, groups, by });
      if (browsers.ended.has(login))
        throw new FairleadError('ERR_UNAUTHORIZED', 'the issuer has ended this login meanwhile');
      audit({ what: 'login', user, credential: `cookie:${login.id}`, address, about: { by: 'oidc' } });
      return exchange.empty(303, [['Location', kept.to], ['Set-Cookie', cookie], ...forget]);
    } catch (error) {
      const about = { by: 'oidc', why: error instanceof FairleadError ? error.message : 'a fault' };
      refused('login_failed', address, about);
      return fail(exchange, error, forget);
    }
  }

  async function logOut(exchange: Exchange): Promise<void> {
    checkOwnPage(exchange);
    const login = browsers.lastLogin(exchange.head);
    if (login) {
      // The cookie stays until the end is stored, so that a log-out that fails can be repeated.
      await end(login);
      const { user, id } = login;
      audit({ what: 'logout', user, credential: `cookie:${id}`, address: exchange.head.address });
    }
    exchange.empty(303, [
      ['Location', `${OWN_PAGE}?out`],
      ['Set-Cookie', browsers.dropCookie()],
    ]);
  }

  /** OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8: 200, or 400 for whatever has failed. */
  async function logOutByIssuer(exchange: Exchange, fields: URLSearchParams): Promise<void> {
    const { address } = exchange.head;
    const [token, second] = fields.getAll('logout_token');
    try {
      if (!issuer) throw new FairleadError('ERR_NOT_FOUND', 'this server knows no issuer');
      if (token === undefined || second !== undefined)
        throw new FairleadError('ERR_BAD_FRAME', 'send one logout_token');
      const logOut = await issuer.client.readLogOut(token);
      await endByIssuer(logOut);
      audit({ what: 'logout', address, about: { by: 'issuer', sub: logOut.sub, sid: logOut.sid } });
      exchange.json(200, {});
    } catch (error) {
      if (!(error instanceof FairleadError)) throw error;
      refused('logout', address, { by: 'issuer', why: error.message });
      exchange.json(400, { error: 'invalid_request', error_description: error.message });
    }
  }

  function refused(what: 'login_failed' | 'logout', address: string, about: Record<string, string>): void {
    if (refusals.take()) audit({ what, address, outcome: 'refused', about });
  }

  function checkOwnPage(exchange: Exchange): void {
    if (isOwnPage(exchange.head, browsers.site.base)) return;
    throw new FairleadError('ERR_FORBIDDEN_ORIGIN', 'this is for the server’s own pages alone');
  }
}

const LINK_GONE = 'This link was used already, or its 15 minutes are over. A new start of the server prints another';

function fail(exchange: Exchange, error: unknown, headers: readonly Header[]): void {
  if (!(error instanceof FairleadError)) throw error;
  switch (error.code) {
    case 'ERR_UNAUTHORIZED':
    case 'ERR_TOO_LARGE':
      return failedPage(exchange, 403, error.message, headers);
    case 'ERR_UNAVAILABLE':
      return failedPage(exchange, 503, 'The issuer cannot be reached now: try again in a moment', headers);
    default:
      throw error;
  }
}
