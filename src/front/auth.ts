/** Turns a request's credential into a Person; only with `auth.mode` `none` everybody is `local`. Main thread. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Config } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import type { Person } from '../shared/person.js';
import { PROTOCOL } from '../shared/protocol.js';
import { hashToken, LOCAL_USER } from '../shared/token-file.js';
import type { CookieHead } from './browser/same-origin.js';

const BEARER = 'bearer.';

/** People whose credential is not one of the tokens that are known here. */
export interface JwtSource {
  takes(token: string): boolean;
  identify(token: string, key: string): Identified | Promise<Identified>;
}

/** What changes while the server runs: tokens made here, and blocked users. */
export interface LiveCredentials {
  /** Whose token has this SHA-256. */
  find(sha256: string, address: string): Person | undefined;
  /** Why a person with a known credential is not let in: ERR_BLOCKED; ERR_UNAUTHORIZED when the credential has ended. */
  refusal(person: Person): FairleadError | undefined;
}

/** Browsers that are logged in: see browser/browsers.ts. */
export interface CookieSource {
  /** Undefined without a cookie of ours. */
  identify(head: CookieHead): Identified | undefined;
  /** The person came with a cookie whose login has ended since. */
  hasEnded(person: Person): boolean;
  /** Whose token stands behind the person's cookie. */
  tokenOf(person: Person): Person | undefined;
  /** A Set-Cookie, when the person's cookie is to be given anew. */
  renewal(person: Person): string | undefined;
}

export interface AuthSources {
  jwts?: JwtSource | undefined;
  browsers?: CookieSource | undefined;
  live?: LiveCredentials | undefined;
}

/** Of a request's head; what is absent was not sent. */
export interface AuthHeaders extends Partial<CookieHead> {
  authorization: string;
  /** The client's, for the token's last use. */
  address?: string;
}

/** Who asks, or why nobody is let in: ERR_UNAUTHORIZED; ERR_BLOCKED; ERR_UNAVAILABLE where it cannot be told now. */
export type Identified = Person | FairleadError;

const NO_HEADERS: CookieHead = { method: 'GET', host: '', origin: '', cookie: '', fetchSite: '', fetchMode: '' };

const LOCAL: Person = { user: LOCAL_USER, role: 'admin', groups: [], credential: 'local' };

export class Auth {
  /** The people of the configuration's tokens, by a blinded hash. */
  #people = new Map<string, Person>();
  /** Those whose token is no more in the configuration. */
  readonly #ended = new WeakSet<Person>();
  readonly #key = randomBytes(32);

  readonly #required: boolean;
  readonly #jwts: JwtSource | undefined;
  readonly #browsers: CookieSource | undefined;
  readonly #live: LiveCredentials | undefined;

  /** With all valid tokens of the configuration. Without any, and without a source, nobody is let in but by the mode `none`. */
  constructor({ mode, tokens }: Pick<Config['auth'], 'mode' | 'tokens'>, { jwts, browsers, live }: AuthSources = {}) {
    this.#jwts = jwts;
    this.#browsers = browsers;
    this.#required = mode !== 'none';
    this.#live = live;
    this.setTokens(tokens);
  }

  /**
   * These and no others are the configuration's tokens from now on. One that is still there lets its user go on, with the role and the
   * groups that it gives now.
   */
  setTokens(tokens: Config['auth']['tokens']): void {
    const before = this.#people;
    this.#people = new Map();
    for (const { user, sha256, role, groups } of tokens) {
      const key = this.#blind(sha256);
      const known = before.get(key);
      const person: Person = known?.user === user ? known : { user, role, groups, credential: 'file' };
      // Whoever is connected holds this object, so that they have what it says at once.
      this.#people.set(key, Object.assign(person, { role, groups }));
    }
    const kept = new Set(this.#people.values());
    for (const person of before.values()) if (!kept.has(person)) this.#ended.add(person);
  }

  /** The person came with a token of the configuration that is there no more. */
  hasEnded(person: Person): boolean {
    return this.#ended.has(this.#browsers?.tokenOf(person) ?? person);
  }

  /** Whose token has this SHA-256: one of the configuration, or one that was made here. ERR_UNAUTHORIZED, ERR_BLOCKED. */
  tokenHolder(sha256: string, address: string): Identified {
    const known = this.#holder(sha256, address);
    return known ? this.#admitted(known) : unauthorized('this token is not valid, or is no more');
  }

  /** Answers at once where the credential is known here, as most are. Never rejects. */
  identify(credentials: AuthHeaders): Identified | Promise<Identified> {
    if (!this.#required) return LOCAL;
    const known = this.#known(tokenOf(credentials), credentials);
    return known instanceof Promise ? known.then((later) => this.#admitted(later)) : this.#admitted(known);
  }

  /** Why somebody who was identified a while ago is let in no more: the credential has ended meanwhile, or the user is blocked. */
  refusal(person: Person): FairleadError | undefined {
    if (!this.#required || person.user === '') return undefined;
    if (person.expiresAt !== undefined && person.expiresAt <= Date.now())
      return unauthorized('the credential has ended');
    if (this.hasEnded(person)) return unauthorized('the token is no more in the configuration');
    if (this.#browsers?.hasEnded(person) === true) return unauthorized('this browser has logged out');
    return this.#live?.refusal(person);
  }

  #known(token: string | undefined, credentials: AuthHeaders): Identified | Promise<Identified> {
    // A cookie counts only without a token: a client that sends both means the token.
    if (token === undefined) return this.#browsers?.identify({ ...NO_HEADERS, ...credentials }) ?? unauthorized();
    const sha256 = hashToken(token);
    const known = this.#holder(sha256, credentials.address ?? '');
    if (known) return known;
    return this.#jwts?.takes(token) === true ? this.#jwts.identify(token, this.#blind(sha256)) : unauthorized();
  }

  #holder(sha256: string, address: string): Person | undefined {
    return this.#people.get(this.#blind(sha256)) ?? this.#live?.find(sha256, address);
  }

  /** A Set-Cookie for the answer to this person's request. */
  renewal(person: Person): string | undefined {
    return this.#browsers?.renewal(person);
  }

  #admitted(known: Identified): Identified {
    return known instanceof FairleadError ? known : (this.refusal(known) ?? known);
  }

  /**
   * Blinds the map's key with a secret of this process, so that the time of a look-up tells nothing about a token. Unlike a
   * constant-time comparison with each token, this costs the same for one token and for ten thousand.
   */
  #blind(sha256: string): string {
    return createHmac('sha256', this.#key).update(sha256).digest('base64');
  }
}

export function unauthorized(why = 'no or bad credentials'): FairleadError {
  return new FairleadError('ERR_UNAUTHORIZED', why);
}

function tokenOf({ authorization, protocols = '' }: AuthHeaders): string | undefined {
  const header = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
  if (header !== undefined) return header;
  return offered(protocols)
    .find((protocol) => protocol.startsWith(BEARER))
    ?.slice(BEARER.length);
}

/**
 * The subprotocol to answer with; never the token. A browser that offered subprotocols fails the connection without an answer
 * (WHATWG WebSockets, "establish a WebSocket connection"), so a page must offer `fairlead.v1` beside `bearer.TOKEN`.
 */
export function answeredProtocol(protocols: string): string {
  return offered(protocols).includes(PROTOCOL) ? PROTOCOL : '';
}

function offered(protocols: string): string[] {
  return protocols.split(',').map((protocol) => protocol.trim());
}
