/** Turns a request's credential into a Person; only with `auth.mode` `none` everybody is `local`. Main thread. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Config } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import type { Person } from '../shared/person.js';
import { PROTOCOL } from '../shared/protocol.js';
import { hashToken, LOCAL_USER } from '../shared/token-file.js';

const BEARER = 'bearer.';

/** People whose credential is not one of the tokens that are known here. */
export interface JwtSource {
  takes(token: string): boolean;
  identify(token: string, key: string): Identified | Promise<Identified>;
}

export interface AuthHeaders {
  authorization: string;
  /** The `Sec-WebSocket-Protocol` of an upgrade. */
  protocols?: string;
}

/** Who asks, or why nobody is let in: ERR_UNAUTHORIZED; ERR_BLOCKED; ERR_UNAVAILABLE where it cannot be told now. */
export type Identified = Person | FairleadError;

const LOCAL: Person = { user: LOCAL_USER, role: 'admin', groups: [], credential: 'local' };

export class Auth {
  readonly #people = new Map<string, Person>();
  readonly #key = randomBytes(32);

  readonly #required: boolean;
  readonly #jwts: JwtSource | undefined;

  /** With all valid tokens: without any, nobody is let in but by the mode `none`. */
  constructor({ mode, tokens }: Pick<Config['auth'], 'mode' | 'tokens'>, jwts?: JwtSource) {
    this.#jwts = jwts;
    this.#required = mode !== 'none';
    for (const { user, sha256, role, groups } of tokens) {
      this.#people.set(this.#blind(sha256), { user, role, groups, credential: 'file' });
    }
  }

  /** Answers at once where the credential is known here, as most are. Never rejects. */
  identify(credentials: AuthHeaders): Identified | Promise<Identified> {
    if (!this.#required) return LOCAL;
    const token = tokenOf(credentials);
    if (token === undefined) return unauthorized();
    const key = this.#blind(hashToken(token));
    const known = this.#people.get(key);
    if (known) return known;
    return this.#jwts?.takes(token) === true ? this.#jwts.identify(token, key) : unauthorized();
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
